"""A folder of latents and text embeddings that `jaxsd cache-latents` made, as a source of batches.

It has pictures-*.array_record, captions-*.array_record (see `jaxsd.training.records`), and
latents.json, which says what they were made from.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from os.path import isfile
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxsd.text_files import read_json
from jaxsd.training.captioned import Taken, Text
from jaxsd.training.config import TrainConfig
from jaxsd.training.exports import Model
from jaxsd.training.records import read_records, unpacked
from jaxsd.training.subtrees import path_of
from jaxsd.typed import built

INDEX = "latents.json"
FORMAT = 2
CAPTIONS_AT_HAND = 256
"""Captions whose embeddings stay in memory: usually either few pictures share a caption, or all."""


@dataclass(frozen=True)
class Origin:
    """What a cache was made from. A run that differs in one of these cannot use it.

    Attributes:
      model: `fingerprint` of the VAE and of the text encoders.
      resolution: in pixels.
    """

    model: str
    resolution: int
    max_aspect: float
    caption: str


@dataclass(frozen=True)
class Shard:
    """A file of records; `height` and `width` in pixels are those of all its pictures."""

    file: str
    count: int
    height: int = 0
    width: int = 0


@dataclass(frozen=True)
class Index:
    """The contents of latents.json.

    Attributes:
      data: `digest` of the pictures and captions, to recognise an unfinished cache.
      made_by: the name of the model and the dtype, for messages.
      conditioned: whether every picture comes with an image for a ControlNet.
      broken: pictures that could not be read and are left out.
    """

    origin: Origin
    data: str
    made_by: str
    conditioned: bool
    pictures: tuple[Shard, ...] = ()
    captions: tuple[Shard, ...] = ()
    broken: tuple[str, ...] = ()
    format: int = FORMAT


def origin_of(config: TrainConfig, model: Model, caption: str) -> Origin:
    """What a cache for this run is made from."""
    resolution = config.resolution or model.spec.default_size
    return Origin(fingerprint(model), resolution, config.max_aspect, caption)


def fingerprint(model: Model) -> str:
    """SHA-256 of the VAE's and the text encoders' shapes and weights."""
    digest = hashlib.sha256(repr((model.spec.vae, model.spec.text)).encode())
    trees = {name: model.params[name] for name in ("vae", "text")}
    for path, leaf in jax.tree_util.tree_leaves_with_path(trees):
        digest.update(path_of(path).encode())
        digest.update(np.ascontiguousarray(leaf, np.float32))
    return digest.hexdigest()


def is_cache(place: str | Path) -> bool:
    """Whether a folder holds latents and not pictures."""
    return (Path(place) / INDEX).is_file()


def write_index(folder: Path, index: Index) -> None:
    """Writes a temporary file and renames it to latents.json."""
    beside = folder / f".{INDEX}"
    beside.write_text(json.dumps(asdict(index), indent=2) + "\n")
    beside.replace(folder / INDEX)


def read_index(folder: Path) -> Index:
    """What latents.json says.

    Raises:
      ValueError: it is of another version, or damaged.
    """
    try:
        values = read_json(folder / INDEX)
        if values.get("format") != FORMAT:
            raise ValueError(f"format {values.get('format')!r}")
        return built(Index, values)
    except ValueError as error:
        raise ValueError(
            f"{folder / INDEX} is not of this version of jaxsd ({error}); make it again with "
            "jaxsd cache-latents"
        ) from None


class Cache:
    """Moments and text embeddings from the files of a folder."""

    empty = 0

    def __init__(self, folder: Path, index: Index) -> None:
        """Opens the files.

        Raises:
          FileNotFoundError: one is missing.
        """
        for shard in (*index.pictures, *index.captions):
            if shard.count and not isfile(folder / shard.file):
                raise FileNotFoundError(f"{folder / INDEX} names {shard.file}, which is not there")
        self.conditioned = index.conditioned
        pictures = [shard for shard in index.pictures if shard.count]
        self.buckets = _buckets(pictures)
        self._pictures = read_records([folder / shard.file for shard in pictures])
        self._captions = read_records([folder / shard.file for shard in index.captions])
        self._caption = lru_cache(CAPTIONS_AT_HAND)(lambda i: unpacked(self._captions[i])[1])

    def take(self, rows: np.ndarray, sides: tuple[int, int]) -> Taken:
        """Moments of pictures that all have this height and width."""
        del sides
        headers, arrays = zip(*(unpacked(self._pictures[row]) for row in rows), strict=True)
        return Taken(
            np.stack([own["moments"] for own in arrays]),
            [header["captions"] for header in headers],
            np.array([header["original"] for header in headers]),
            np.array([header["corner"] for header in headers]),
            np.stack([own["condition"] for own in arrays]) if self.conditioned else None,
        )

    def text(self, captions: Sequence[int]) -> Text:
        """The inputs and the outputs of the text encoders."""
        found = [self._caption(number) for number in captions]
        stacked: dict[str, Any] = {
            name: np.stack([one[name] for one in found]) for name in found[0]
        }
        embedded = stacked.pop("context"), stacked.pop("pooled")
        return Text(tuple(stacked[f"ids_{i}"] for i in range(len(stacked))), embedded)


def _buckets(shards: Sequence[Shard]) -> list[tuple[tuple[int, int], np.ndarray]]:
    """Height and width -> numbers of the records, in the order of the files."""
    rows: dict[tuple[int, int], list[np.ndarray]] = {}
    first = 0
    for shard in shards:
        numbers = np.arange(first, first + shard.count)
        rows.setdefault((shard.height, shard.width), []).append(numbers)
        first += shard.count
    return [(sides, np.concatenate(parts)) for sides, parts in rows.items()]


def cache_source(config: TrainConfig, model: Model, place: str, caption: str) -> Cache:
    """A cache that a run can use.

    Raises:
      ValueError: it was made with another model, resolution, `max_aspect` or caption.
    """
    index = read_index(Path(place))
    wanted = origin_of(config, model, caption)
    if index.origin.model != wanted.model:
        raise ValueError(
            f"{place} holds latents and texts of another model ({index.made_by}) than "
            f"{config.model}; make them again with jaxsd cache-latents"
        )
    for name, value in asdict(wanted).items():
        if (made := getattr(index.origin, name)) != value:
            raise ValueError(
                f"{place} was made with {name} {made!r}, this run has {value!r}; set it so, or "
                "make it again with jaxsd cache-latents"
            )
    return Cache(Path(place), index)
