"""Whether a run can go on in its folder: what run.json says that it began with."""

import hashlib
import json
from dataclasses import fields
from pathlib import Path
from typing import Any

from jaxsd.text_files import read_json
from jaxsd.training.config import TrainConfig
from jaxsd.typed import built

MAY_CHANGE = (
    *("steps", "learning_rate", "warmup_steps", "decay_steps", "weight_decay", "clip_norm"),
    *("ema_decay", "dtype", "remat", "mesh", "save_every", "keep", "log_every", "samples"),
    *("output", "data", "caption", "uncaptioned", "caption_dropout"),
    *("prior_data", "prior_caption", "prior_weight"),
)
"""Keys that a run may change when it goes on. The others decide what its checkpoint is, or which
pictures a step sees.
"""
PLACES = ("model", "controlnet")
"""Keys of files that may lie elsewhere than before."""
READ = (".json", ".txt", ".safetensors", ".bin")
"""Files of a folder that make up a model."""
PIECES, PIECE = 1024, 4096
"""Of a file, so many pieces of so many bytes are looked at: all of one that is small."""


def read_run(folder: Path) -> TrainConfig:
    """The settings of a run, with `output` where the folder is now.

    Raises:
      FileNotFoundError: no run.json there.
      ValueError: run.json is damaged, or of another version, with other keys.
    """
    path = folder / "run.json"
    if not path.is_file():
        raise FileNotFoundError(f"no {path}; give the output folder of a run")
    values = read_json(path).get("config")
    if not isinstance(values, dict):
        raise ValueError(f"{path} is damaged: it has no table 'config'")
    try:
        return built(TrainConfig, values | {"output": str(folder)})
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def refuse_other_run(config: TrainConfig) -> None:
    """Refuses to go on from a checkpoint of a run that was another.

    Raises:
      ValueError: a key that must stay is not what the run began with, or there are more steps than
        asked for.
    """
    folder = Path(config.output)
    done = steps_done(folder / "checkpoints")
    if not (folder / "run.json").is_file() or not done:
        return
    before, known = read_run(folder), read_json(folder / "run.json").get("places")
    for one in fields(TrainConfig):
        old, new = getattr(before, one.name), getattr(config, one.name)
        if one.name in MAY_CHANGE or old == new:
            continue
        if one.name in PLACES and _moved(known, one.name, new):
            continue
        name, old, new = _innermost(one.name, old, new)
        raise ValueError(
            f"{folder} holds a run with {name} {_shown(old)}, which is now {_shown(new)}; only "
            f"{', '.join(MAY_CHANGE)} may change: set {name} back, or begin anew with another "
            "output"
        )
    if done > config.steps:
        raise ValueError(f"{folder} has done {done} steps already; raise steps {config.steps}")


def _moved(known: Any, name: str, place: str) -> bool:
    """Whether files hold what they held when a run began, as its run.json says."""
    held = known.get(name) if isinstance(known, dict) else None
    return bool(held) and held == contents(place)


def places_of(config: TrainConfig) -> dict[str, str]:
    """What the files of a run hold, to know them again when they were moved."""
    return {name: contents(getattr(config, name)) for name in PLACES}


def contents(place: str) -> str:
    """A hash of the sizes and of many pieces of a model's files; empty if there are none here."""
    path = Path(place)
    files = [path] if path.is_file() else sorted(path.rglob("*")) if place else []
    digest, any_read = hashlib.sha256(), False
    for file in files:
        if not file.is_file() or (file != path and file.suffix not in READ):
            continue
        size, any_read = file.stat().st_size, True
        digest.update(f"{file.relative_to(path).as_posix()} {size}\n".encode())
        with file.open("rb") as opened:
            for start in range(0, size, max(PIECE, size // PIECES)):
                opened.seek(start)
                digest.update(opened.read(PIECE))
    return digest.hexdigest() if any_read else ""


def steps_done(checkpoints: Path) -> int:
    """The step of the latest checkpoint; 0 if there is none."""
    places = checkpoints.iterdir() if checkpoints.is_dir() else ()
    return max((int(place.name) for place in places if place.name.isdigit()), default=0)


def _innermost(name: str, old: Any, new: Any) -> tuple[str, Any, Any]:
    """The first key that differs, of a table `lora.rank`."""
    if not hasattr(old, "__dataclass_fields__"):
        return name, old, new
    inner = next(f.name for f in fields(old) if getattr(old, f.name) != getattr(new, f.name))
    return _innermost(f"{name}.{inner}", getattr(old, inner), getattr(new, inner))


def _shown(value: Any) -> str:
    return json.dumps(value) if value not in (None, "", ()) else "not set"
