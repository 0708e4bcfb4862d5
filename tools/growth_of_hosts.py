"""What the host does around drawings, which `measure_growth.py` lets grow."""

import itertools
import json
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import jax
import numpy as np

from jaxsd.bulk.artist import PipelineArtist
from jaxsd.bulk.config import BulkConfig
from jaxsd.bulk.drawing import written_end
from jaxsd.bulk.run import Ready, run
from jaxsd.bulk.store import Store
from jaxsd.bulk.work import Work, checked_work, described
from jaxsd.diffusion_map import DiffusionMap
from jaxsd.executables import IN_MEMORY
from jaxsd.images import write_picture
from jaxsd.metadata.report import about_picture
from jaxsd.pipeline import Pipeline, load
from jaxsd.sampling.program import Drawing
from jaxsd.score.likeness import places, same
from jaxsd.settings import Recipe, Settings, checked
from jaxsd.settings.adapters import adapter_place
from jaxsd.webui import texts_of
from jaxsd.workflow.checking import check_graph
from jaxsd.workflow.execution import in_order
from jaxsd.workflow.graph import graph_of

SIDE = 64
MANY = (10, 100, 1000, 10_000)


@cache
def folder() -> Path:
    """A place for files, which is removed at the end."""
    kept.append(tempfile.TemporaryDirectory())
    return Path(kept[-1].name)


kept: list[tempfile.TemporaryDirectory] = []


@cache
def pipeline() -> Pipeline:
    """The built-in model."""
    return load("emoji")


class Blank(PipelineArtist):
    """Makes orders, records and files of a bulk run as it does; the pictures are black."""

    def begin(self, ready: Ready) -> Drawing:
        """Draws nothing."""
        images = np.zeros((len(ready.order.settings), SIDE, SIDE, 3), np.float32) - 1
        return Drawing(images, images, np.ones((1, len(images)), bool))


def rows(count: int) -> tuple[Work, Path]:
    """A table of that many rows is read, checked, and divided into units."""
    place = Path(tempfile.mkdtemp(dir=folder()))
    lines = (json.dumps({"prompt": f"thing {i}", "seed": i}) + "\n" for i in range(count))
    (place / "rows.jsonl").write_text("".join(lines))
    config = BulkConfig(
        output=str(place / "out"), rows=str(place / "rows.jsonl"), width=SIDE, height=SIDE, steps=4
    )
    return checked_work(config, skip_bad_rows=False, say=print), place


def planning(count: int) -> Callable[[], object]:
    """From a table to units."""
    return lambda: rows(count)


def bulk(count: int) -> Callable[[], None]:
    """The whole run but for the network: orders, PNGs, records, shards, manifest."""
    pipeline()

    def whole() -> None:
        work, place = rows(count)
        store = Store(place / "out", "folder", "png", work.units)
        store.claim(described(work))
        artist = Blank(work, "0", IN_MEMORY)
        artist.pipe = pipeline()
        run(artist, store, work.units)
        written_end(store, work)

    return whole


def words(count: int) -> Callable[[], object]:
    """An order for a prompt of that many words."""
    pipe, prompt = pipeline(), " ".join(["red", "apple,"] * (count // 2))
    one = checked(Settings(prompt, steps=4), pipe.spec)
    return lambda: pipe.order([one])


def wildcards(count: int) -> Callable[[], object]:
    """A prompt with that many places where one of three words is drawn."""
    prompt = " ".join(["{red|green|blue}"] * count)
    one = Settings(prompt, steps=4)
    return lambda: checked(one, pipeline().spec)


def loras(count: int) -> Callable[[], object]:
    """The weights of the built-in model with that many LoRAs."""
    pipe, times = pipeline(), itertools.count(1)  # the last weights are remembered

    def merge() -> None:
        share = 1 / (count + next(times))
        merged = pipe.with_adapters([f"{file}:{share}" for file in lora_files()[:count]])
        jax.block_until_ready(merged.params)

    return merge


@cache
def lora_files() -> list[Path]:
    """Copies of a built-in LoRA."""
    packed = adapter_place("emoji-neon").read_bytes()
    files = [folder() / f"lora{i}.safetensors" for i in range(16)]
    for file in files:
        file.write_bytes(packed)
    return files


@cache
def pictures() -> list[Path]:
    """Pictures with recipes."""
    one = checked(Settings("a red apple", width=SIDE, height=SIDE), pipeline().spec)
    recipe = Recipe(one, model="emoji", dtype="float32", version="0")
    paths = [folder() / f"{i}.png" for i in range(1000)]
    for path in paths:
        write_picture(path, np.zeros((SIDE, SIDE, 3), np.uint8), texts_of(recipe))
    return paths


def info(count: int) -> Callable[[], None]:
    """What `jaxsd info` says of that many pictures."""
    paths = pictures()[:count]
    return lambda: [list(about_picture(path)) for path in paths] and None


def layout(count: int) -> Callable[[], object]:
    """What `jaxsd map` does with that many pictures which a network has seen."""
    seen = np.random.default_rng(0).standard_normal((count, 64)).astype(np.float32)
    return lambda: (same(seen, 0.95), places(DiffusionMap().fit_transform(seen)))


def graph(count: int) -> Callable[[], object]:
    """A graph of ComfyUI with a chain of that many nodes, read, checked and put in order."""
    table = {
        "model": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "emoji"}},
        "0": {"class_type": "CLIPTextEncode", "inputs": {"text": "a", "clip": ["model", 1]}},
        "size": {
            "class_type": "EmptyLatentImage",
            "inputs": {"width": 128, "height": 128, "batch_size": 1},
        },
    }
    for i in range(1, count):
        both = {"conditioning_1": [f"{i - 1}", 0], "conditioning_2": ["0", 0]}
        table[f"{i}"] = {"class_type": "ConditioningCombine", "inputs": both}
    last = [f"{count - 1}", 0]
    sampler = {
        "model": ["model", 0],
        "positive": last,
        "negative": ["0", 0],
        "latent_image": ["size", 0],
        "seed": 1,
        "steps": 4,
        "cfg": 2.0,
        "sampler_name": "euler",
        "scheduler": "normal",
        "denoise": 1.0,
    }
    table["drawn"] = {"class_type": "KSampler", "inputs": sampler}
    decoded = {"samples": ["drawn", 0], "vae": ["model", 2]}
    table["seen"] = {"class_type": "VAEDecode", "inputs": decoded}
    kept = {"images": ["seen", 0], "filename_prefix": "a"}
    table["kept"] = {"class_type": "SaveImage", "inputs": kept}

    def whole() -> None:
        made = graph_of(table, "the graph")
        check_graph(made)
        in_order(made)

    return whole


HOST = {
    "rows of a bulk run: planned": ("rows", MANY, planning, 1),
    "rows of a bulk run: all but the network": ("rows", MANY, bulk, 1),
    "words of a prompt": ("words", (10, 50, 100, 500), words, 1),
    "wildcards": ("wildcards", (10, 100, 1000), wildcards, 1),
    "LoRAs": ("LoRAs", (1, 2, 4, 8, 16), loras, 1),
    "pictures: info": ("pictures", (10, 100, 1000), info, 1),
    "pictures: map": ("pictures", (64, 256, 1024, 2048), layout, 2),
    "nodes of a graph": ("nodes", (10, 100, 1000, 4000), graph, 1),
}
"""Name -> axis, sizes, what is timed, exponent of the work. A map compares all with all."""
