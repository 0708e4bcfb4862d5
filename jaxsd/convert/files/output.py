"""Writing beside the destination, then renaming: until then the old content stays complete."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jaxsd.writing import naming

_MARKS = ("model_index.json", "diffusion_pytorch_model.safetensors")
"""Files of which the folder of a model or a ControlNet has one."""


def write_json(path: Path, table: dict[str, Any]) -> None:
    """Write a table of settings, in a folder that is made if it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(table, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def check_free(place: Path, overwrite: bool) -> None:
    """Refuse to write over what is there already.

    A folder may be overwritten only if it is a model, so that a wrong name deletes nothing else.

    Raises:
      FileExistsError: if something is there that may not be overwritten or is not a model.
    """
    single = place.suffix == ".safetensors"
    if not place.exists() or (
        place.is_dir() and next(place.iterdir(), None) is None and not single
    ):
        return
    if not overwrite:
        raise FileExistsError(f"{place} exists; choose another place, or overwrite it with --force")
    marked = any((place / name).is_file() for name in _MARKS)
    if not (place.is_file() if single else marked):
        raise FileExistsError(f"{place} exists and is not a model; choose another place")


@contextmanager
def new_folder(folder: Path, overwrite: bool) -> Iterator[Path]:
    """A folder to fill beside `folder`, which it replaces when all went well.

    Raises:
      FileExistsError: if `folder` exists and may not be overwritten.
      OSError: it can not be written.
    """
    check_free(folder, overwrite)
    beside = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    try:
        with naming(folder, beside):
            beside.mkdir(parents=True)
            yield beside
            if folder.exists():
                shutil.rmtree(folder)
            beside.rename(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
