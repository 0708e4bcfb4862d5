"""What docs/from_flax_diffusers.md says, run on a pipeline that diffusers' Flax classes wrote."""

import re
import zipfile
from pathlib import Path

import numpy as np
import pytest

from jaxsd.images import write_picture
from jaxsd.pipeline import Order, Pipeline
from jaxsd.sampling.program import Drawing
from jaxsd.schedulers import SAMPLERS
from jaxsd.training.config import read_config

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/from_flax_diffusers.md").read_text(encoding="utf-8")
OURS = re.findall(r"```python\n# jaxsd\n(.*?)```", PAGE, re.DOTALL)


def drawn_of_nothing(self: Pipeline, order: Order) -> Drawing:
    """In place of the networks, after the first picture."""
    count, (height, width) = len(order.settings), order.settings[0].drawn_size
    return Drawing(np.zeros((count, height, width, 3)), order.given.noise[:count], None)


@pytest.mark.parametrize("whole", [False, pytest.param(True, marks=pytest.mark.release)])
def test_each_block_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: bool) -> None:
    """The networks run for the first picture, and, as `whole`, for all of them."""
    folder = tmp_path / "stable-diffusion-v1-4-flax"
    zipfile.ZipFile(ROOT / "tests/data/flax_pipeline.zip").extractall(folder)
    (folder / "controlnet").rename(tmp_path / "controlnet-canny-flax")
    ramp = np.arange(16 * 16 * 3, dtype=np.uint8).reshape(16, 16, 3)
    write_picture(tmp_path / "photo.png", ramp)
    write_picture(tmp_path / "mask.png", np.where(ramp > 99, np.uint8(255), np.uint8(0)))
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    assert len(OURS) == 5
    for block in OURS:
        exec(block, names)
        if "images" in names and names["pipe"].drawn.__func__ is not drawn_of_nothing:
            picture = np.asarray(names["images"][0])
            assert picture.shape == (8, 8, 3)
            assert picture.std() > 0
            if not whole:
                monkeypatch.setattr(Pipeline, "drawn", drawn_of_nothing)
    assert names["images"].shape == (1, 8, 8, 3)


def test_schedulers_and_configurations_are_there() -> None:
    samplers = re.findall(r"^\| `Flax\w+` \| `(\S+)` \|", PAGE, re.MULTILINE)
    assert len(samplers) == 6
    assert set(samplers) <= SAMPLERS.keys()
    configs = re.findall(r"configs/train/[\w-]+\.toml", PAGE)
    assert len(configs) == 5
    for name in configs:
        read_config(ROOT / name)
