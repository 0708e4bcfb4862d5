"""A bulk run as TOML: which rows, which model, where to."""

import math
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, get_args, get_origin

from jaxsd.convert.tensors import DTYPES
from jaxsd.schedulers import guided_rows, renewed_rows

FORMATS = ("folder", "webdataset", "arrayrecord")
PICTURES = ("png", "webp")


@dataclass(frozen=True)
class BulkConfig:
    """One run.

    Attributes:
      output: folder of the run.
      rows: a .jsonl, .csv, .parquet or .txt file of what to draw; or empty, and `axes` say it.
      prompt: with axes, a template such as "a {colour} {thing}".
      axes: name -> values; a list, `{first = 0, count = 100}` for whole numbers, or
        `{file = "things.txt"}` for lines. `seed`, `guidance_scale`, `steps`, `sampler`, `size` and
        the like are columns, other names fill the template. The last axis varies fastest.
      model: anything that `jaxsd.load` reads.
      dtype: what the networks compute in.
      batch_size: images that one device draws at a time. It decides how float32 sums are ordered.
      mesh: devices of each host along data, fsdp and tensor, see `jaxsd.parallel.mesh_of`.
      format: "folder" of pictures, "webdataset" tar files, or "arrayrecord".
      picture: "png", or lossless "webp".
      images_per_shard: about how many lie in a folder or a file.
      negative_prompt: of rows that say none; likewise the others down to `steps`.
      guidance_scale: 0 for what suits the model.
      size: "WIDTHxHEIGHT"; empty for what suits the model.
      prediction: "epsilon", "v" or "sample", for files that do not say.
      guidance_interval: of all rows, as for `Pipeline.draw`; takes work off, likewise `reuse`.
      reuse: of all rows, as there.
      taesd: diffusers folder of a tiny autoencoder to decode with; empty for the model's own.
    """

    output: str
    rows: str = ""
    prompt: str = ""
    axes: dict[str, Any] = field(default_factory=dict)
    model: str = "emoji"
    dtype: str = "float32"
    batch_size: int = 8
    mesh: tuple[int, ...] = (-1, 1, 1)
    format: str = "folder"
    picture: str = "png"
    images_per_shard: int = 1000
    negative_prompt: str = ""
    seed: int = 0
    guidance_scale: float = 0.0
    size: str = ""
    sampler: str = "ddim"
    steps: int = 20
    prediction: str = ""
    guidance_interval: tuple[float, ...] = (0.0, 1.0)
    reuse: int = 1
    taesd: str = ""

    def __post_init__(self) -> None:
        """Checks what can be checked before anything is read.

        Raises:
          ValueError: a value that is not allowed.
        """
        for name, allowed in (("format", FORMATS), ("picture", PICTURES), ("dtype", tuple(DTYPES))):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} {getattr(self, name)!r} is not one of {allowed}")
        for name in ("batch_size", "images_per_shard"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, it must be more than 0")
        if bool(self.rows) == bool(self.axes):
            raise ValueError("give either rows, a file, or [axes] with a prompt to fill in")
        if not math.isfinite(self.guidance_scale):
            raise ValueError(f"guidance_scale {self.guidance_scale} is not a finite number")
        renewed_rows(self.reuse, guided_rows(self.guidance_interval, 1), 1)


def read_config(path: str | Path, overrides: Sequence[str] = ()) -> BulkConfig:
    """A run from a TOML file, with `key=value` overrides; a bare word is a string.

    Raises:
      ValueError: not TOML, an unknown or missing key, a value of the wrong type.
      FileNotFoundError: no such file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no configuration file {path}; see configs/bulk/")
    try:
        values = tomllib.loads(path.read_text())
        for override in overrides:
            values |= _override(override)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path} or an override of it is not TOML: {error}") from None
    known = {f.name: f.type for f in fields(BulkConfig)}
    if unknown := sorted(set(values) - set(known)):
        raise ValueError(f"{path}: unknown key {unknown[0]!r}; known are {', '.join(known)}")
    if "output" not in values:
        raise ValueError(f"{path}: the key 'output' is missing")
    try:
        return BulkConfig(**{name: _typed(known[name], v, name) for name, v in values.items()})
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _override(text: str) -> dict[str, Any]:
    key, _, value = text.partition("=")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        if '"' in value or "\n" in value:
            raise
        return tomllib.loads(f'{key} = "{value}"')


def _typed(kind: Any, value: Any, name: str) -> Any:
    plain = get_origin(kind) or kind
    if plain is tuple and isinstance(value, list):
        return tuple(_typed(get_args(kind)[0], one, name) for one in value)
    allowed = (int, float) if plain is float else plain
    if not isinstance(value, allowed) or isinstance(value, bool):
        wanted = "list" if plain is tuple else "table" if plain is dict else plain.__name__
        raise ValueError(f"{name} is {value!r}, it must be of type {wanted}")
    return value
