"""Real files that others made: small ones in tests/data, larger ones in JAXSD_TESTDATA."""

import json
import os
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest

DATA = Path(__file__).parent / "data"
LORA = DATA / "lora_disney.safetensors"
EMBEDDING = DATA / "invokeai_test_embedding.safetensors"


@cache
def listed(name: str) -> str:
    """The text of a list in lists.zip, such as `sd_keys/UNET-v1-SD.txt`."""
    with zipfile.ZipFile(DATA / "lists.zip") as archive:
        return archive.read(name).decode()


def real_shapes(name: str, prefix: str = "") -> dict[str, tuple[int, ...]]:
    """Name -> shape of every tensor of a real file's part."""
    shapes = {}
    for line in listed(f"sd_keys/{name}.txt").splitlines():
        tensor, shape = line.rsplit(" ", 1)
        shapes[prefix + tensor] = tuple(json.loads(shape))
    return shapes


def keymap(name: str) -> dict[str, Any]:
    """Names of the original code -> diffusers' names, as ai-toolkit has them."""
    return json.loads(listed(f"keymaps/stable_diffusion_{name}.json"))


def larger(name: str) -> Path:
    """A file or folder in JAXSD_TESTDATA; skips the test where that is not set."""
    if not (folder := os.environ.get("JAXSD_TESTDATA")):
        pytest.skip("larger real files: set JAXSD_TESTDATA to their folder")
    path = Path(folder) / name
    assert path.exists(), f"JAXSD_TESTDATA has no {name}"
    return path
