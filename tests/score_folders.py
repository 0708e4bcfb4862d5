"""Folders of a few pictures, in every form."""

import json
import tarfile
from pathlib import Path

import numpy as np

from jaxsd.bulk.shards import WRITERS, add
from jaxsd.images import png_bytes
from jaxsd.settings import Recipe, Settings
from jaxsd.webui import texts_of


def image(number: int, size: tuple[int, int] = (20, 24)) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (*size, 3), np.uint8)


def texts(prompt: str) -> dict[str, str]:
    """What a picture of a prompt carries."""
    settings = Settings(prompt, sampler="ddim", steps=3, guidance_scale=7.5, width=24, height=20)
    return texts_of(Recipe(settings, model="emoji", dtype="float32", version="0"))


def folder_of(folder: Path, count: int, manifest: bool = False) -> Path:
    """PNGs with recipes; with a manifest, as bulk runs write one, of other prompts."""
    (folder / "images").mkdir(parents=True)
    lines = []
    for i in range(count):
        name = f"images/{i}.png"
        (folder / name).write_bytes(png_bytes(image(i), texts(f"thing {i}")))
        lines.append({"id": str(i), "prompt": f"row {i}", "file": name, "status": "drawn"})
    if manifest:
        lines.append({"id": "failed", "prompt": "none", "status": "failed"})
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (folder / "manifest.jsonl").write_text(text)
    return folder


def shard_of(folder: Path, kind: str, count: int) -> Path:
    """A shard as a bulk run writes it."""
    folder.mkdir(parents=True)
    ending, writer = WRITERS[kind]
    with writer(folder / f"00000.{ending}", "png") as write:
        for i in range(count):
            write({"id": f"row-{i}", "prompt": f"thing {i}"}, png_bytes(image(i)))
    return folder


def foreign_tar(path: Path) -> Path:
    """A tar of someone else, whose pictures have no texts."""
    with tarfile.open(path, "w") as tar:
        add(tar, "some/a.png", png_bytes(image(0)))
        add(tar, "some/a.cls", b"7")
    return path
