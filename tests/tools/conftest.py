"""The folder tools/ is importable, and there is a small data set to test on."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

from emoji import folders
from made_up import made_up_jobs


@pytest.fixture(scope="session")
def emoji_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the small data set."""
    out = tmp_path_factory.mktemp("emoji")
    for split in folders.SPLITS:
        (out / split).mkdir()
    saved = [picture for job in made_up_jobs() for picture in folders.save_pictures(out, job)]
    folders.save_metadata(out, saved)
    return out
