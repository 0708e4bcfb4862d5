"""Tables with wrong values and damaged bytes, by chance: one line, whatever the reader."""

import json
import os
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from fuzzing import SECONDS
from tiny_models import TINY

from jaxsd.bulk.config import BulkConfig
from jaxsd.bulk.config import read_config as read_bulk
from jaxsd.bulk.rows import read_rows
from jaxsd.images import write_picture
from jaxsd.training.cached import Index, Origin, Shard, read_index
from jaxsd.training.captions import pictures_in
from jaxsd.training.config import TrainConfig, read_config
from jaxsd.training.resuming import read_run
from jaxsd.video.config import read_video
from jaxsd.video.plan import planned

MUTANTS = int(os.environ.get("JAXSD_FUZZ", "100"))
"""Of each kind."""
JUNK = [
    *(None, True, 0, -1, 7.5, 1e300, 2**64, 10**350, "", "a", "\u2028", "a\x00b", [], [1], ["a"]),
    *({}, {"a": 1}, [[]], {"a": {"b": []}}, [None], "x" * 10_000, "9" * 400, "[", float("nan")),
    json.loads("[" * 90 + "]" * 90),
    *("@1979-05-27T07:32:00Z", "@1979-05-27", "@07:32:00", "@0x10", "@-inf", "@nan", "@1_000"),
]
"""Values; what begins with @ is TOML's own, and a text in JSON."""
ROW = {"file_name": "0.png", "text": "a", "texts": ["b"], "conditioning_image": "0.png"}
DRAWN = {"prompt": "a", "seed": 3, "steps": 2, "guidance_scale": 2.0, "size": "32x16", "id": "x"}
RUN = asdict(TrainConfig("lora", "o", "d", 10, 1, 0.1, warmup_steps=0))
CACHE = asdict(Index(Origin("m", 8, 1.0, ""), "d", "m", False, (Shard("f", 1, 8, 8),)))


def changed(value: object, chance: random.Random) -> object:
    """The value with one of its parts, at any depth, replaced by something else."""
    if isinstance(value, dict | list | tuple) and value and chance.random() < 0.8:
        parts = dict(value) if isinstance(value, dict) else dict(enumerate(value))
        name = chance.choice(list(parts))
        parts[name] = changed(parts[name], chance)
        return parts if isinstance(value, dict) else list(parts.values())
    return chance.choice(JUNK)


def mutants(value: object, count: int) -> Iterator[bytes]:
    """JSON of changed values, and JSON with changed bytes."""
    chance = random.Random(0)
    for _ in range(count):
        yield json.dumps(changed(value, chance), ensure_ascii=chance.random() < 0.5).encode()
        packed = bytearray(json.dumps(value).encode())
        packed[chance.randrange(len(packed))] = chance.randrange(256)
        yield bytes(packed[: chance.choice((None, chance.randrange(len(packed)))) or None])


def toml_of(packed: bytes) -> bytes:
    """A JSON table as TOML, if it is one."""
    try:
        table = {name: one for name, one in json.loads(packed).items() if one is not None}
        return "".join(f"{json.dumps(k)} = {inline(v)}\n" for k, v in table.items()).encode()
    except (ValueError, AttributeError):
        return packed


def inline(value: object) -> str:
    """A JSON value on a line of TOML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {inline(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(inline, value)) + "]"
    if isinstance(value, str) and value.startswith("@"):
        return value[1:]
    return json.dumps(value).lower() if isinstance(value, float) else json.dumps(value)


SPEC = TINY["sd1"]
VIDEO = {
    "output": "o.mp4",
    "fps": 4,
    "seconds": 2.0,
    "steps": 2,
    "sampler": "dpm++_2m",
    "size": "32x16",
    "loop": False,
    "lora": ["a.safetensors:0.5"],
    "key": [
        {"prompt": "a", "time": 0.0, "easing": "linear", "seed": 1},
        {"prompt": "b", "time": 1.0, "zoom": 1.5, "guidance_scale": 3.0, "seed": 2},
    ],
}
CASES = {
    "metadata.jsonl": (ROW, lambda path: pictures_in(path.parent)),
    "rows.jsonl": (
        DRAWN,
        lambda path: read_rows(BulkConfig(output="o", rows=str(path)), SPEC),
    ),
    "run.json": ({"config": RUN}, lambda path: read_run(path.parent)),
    "latents.json": (CACHE, lambda path: read_index(path.parent)),
    "train.toml": (RUN, read_config),
    "bulk.toml": (
        {"output": "o", "rows": "r.txt", "steps": 3, "mesh": [-1, 1, 1], "control": ["a:b"]},
        read_bulk,
    ),
    "axes.toml": (
        {"output": "o", "prompt": "{a}", "axes": {"a": ["x"], "seed": {"first": 0, "count": 2}}},
        lambda path: read_rows(read_bulk(path), SPEC),
    ),
    "video.toml": (VIDEO, lambda path: planned(read_video(str(path)), SPEC)),
    "follow.toml": (
        VIDEO | {"follow": 0.5, "blend": 0.1, "key": [{"prompt": "a", "angle": 3.0, "x": 0.1}]},
        lambda path: planned(read_video(str(path)), SPEC),
    ),
}


@pytest.mark.filterwarnings("ignore:.*not used")
@pytest.mark.parametrize("name", CASES)
def test_what_is_wrong_is_one_line(name: str, tmp_path: Path) -> None:
    value, read = CASES[name]
    write_picture(tmp_path / "0.png", np.zeros((8, 8, 3), np.uint8))
    assert _refused(tmp_path / name, iter([json.dumps(value).encode()]), read) == 0
    refused = _refused(tmp_path / name, mutants(value, MUTANTS), read)
    assert refused > MUTANTS / 2 or name == "rows.jsonl"  # whose errors are told row by row


def _refused(path: Path, several: Iterator[bytes], read: Callable[[Path], object]) -> int:
    errors = []
    for packed in several:
        path.write_bytes(toml_of(packed) if path.suffix == ".toml" else packed)
        start = time.process_time()
        try:
            read(path)
        except (ValueError, OSError) as error:
            errors.append(str(error))
        assert time.process_time() - start < SECONDS, packed[:1000]
    assert [error for error in errors if "\n" in error] == []
    return len(errors)
