"""Batches for the loss of a model: pictures, captions as token ids or as text embeddings, sizes."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np

from jaxsd.config import ModelSpec
from jaxsd.text import Tokenizer
from jaxsd.training.captions import check_captions
from jaxsd.training.config import TrainConfig
from jaxsd.training.data import generator
from jaxsd.training.diffusion import Batch
from jaxsd.training.folder import (
    Batches,
    Bucket,
    Folder,
    all_decoded,
    bucket_sizes,
    in_buckets,
)
from jaxsd.training.packed import read_data


class Taken(NamedTuple):
    """Pictures from a source, and what it knows about each."""

    pictures: np.ndarray  # [B, H, W, 3] uint8, or a posterior's moments [B, h, w, 2c] float32
    captions: list[Sequence[Any]]  # one or more of each
    originals: np.ndarray  # [B, 2], height and width before cutting
    corners: np.ndarray  # [B, 2], rows and columns that were cut off at the top and left
    condition: np.ndarray | None  # [B, H, W, 3] uint8


class Text(NamedTuple):
    """Captions as the networks take them."""

    ids: tuple[np.ndarray, ...]  # [B, L] int32, one per text encoder
    embedded: tuple[np.ndarray, np.ndarray] | None  # context [B, L, d] and pooled [B, p]


class Source(Protocol):
    """Where pictures and captions come from."""

    buckets: Sequence[Bucket]
    empty: Any  # the empty caption
    conditioned: bool  # whether every picture has an image for a ControlNet

    def take(self, rows: np.ndarray, sides: tuple[int, int]) -> Taken:
        """Pictures of that height and width."""

    def text(self, captions: Sequence[Any]) -> Text:
        """Captions that `take` returned, or `empty`, as the networks take them."""


class FolderSource:
    """Pictures and captions, decoded and tokenized as they are needed."""

    empty = ""

    def __init__(
        self, folder: Folder, buckets: Sequence[Bucket], tokenizers: Sequence[Tokenizer]
    ) -> None:
        self.buckets, self.conditioned = buckets, bool(folder.conditioned.all())
        self._folder, self._tokenizers = folder, tokenizers

    def take(self, rows: np.ndarray, sides: tuple[int, int]) -> Taken:
        """Raises ValueError: too many pictures that can not be read."""
        found, pixels, corners, conditions = zip(
            *all_decoded(self._folder, rows, sides), strict=True
        )
        return Taken(
            np.stack(pixels),
            [self._folder.texts[row] for row in found],
            self._folder.sizes[list(found)],
            np.array(corners),
            np.stack(conditions) if self.conditioned else None,
        )

    def text(self, captions: Sequence[str]) -> Text:
        """As ids."""
        return Text(tuple(tokenizer(captions) for tokenizer in self._tokenizers), None)


class Part(NamedTuple):
    """A source that fills a part of every batch."""

    source: Source
    batches: Batches
    dropout: float
    weight: float


def captioned_batches(
    config: TrainConfig, spec: ModelSpec, source_of: Callable[[str, str], Source]
) -> Callable[[int, slice], Batch]:
    """(number of a batch, which of its rows) -> those rows.

    With `prior_data`, the second half of each batch has pictures of the class, in the size of the
    first half and without caption dropout.

    Args:
      source_of: (folder, caption for pictures without one) -> the source.

    Raises:
      ValueError: `prior_data` with an odd batch size, or an error of `source_of`.
    """
    parts = _parts(config, source_of)
    conditioned = all(part.source.conditioned for part in parts)

    def batch(number: int, share: slice) -> Batch:
        # Random numbers are drawn for all rows, so that they are the same on every host.
        rng, first, pieces = generator(config.seed, number), 0, []
        sides, _ = parts[0].batches.rows(number)
        for part in parts:
            _, rows = part.batches.rows(number)
            chances = rng.random((2, len(rows)))
            own = slice(max(share.start - first, 0), max(share.stop - first, 0))
            first += len(rows)
            if len(rows[own]):
                piece = _piece(spec, part, sides, rows[own], chances[:, own])
                pieces.append(piece if conditioned else piece._replace(condition=None))
        return jax.tree.map(lambda *x: np.concatenate(x), *pieces)

    return batch


def _parts(config: TrainConfig, source_of: Callable[[str, str], Source]) -> list[Part]:
    source, size = source_of(config.data, config.caption), config.batch_size
    if not config.prior_data:
        batches = Batches(source.buckets, size, config.seed)
        return [Part(source, batches, config.caption_dropout, 1.0)]
    if size % 2:
        raise ValueError(f"batch_size {size} is odd; half of it is prior_data")
    batches = Batches(source.buckets, size // 2, config.seed)
    prior = source_of(config.prior_data, config.prior_caption)
    others = Batches(prior.buckets, size // 2, config.seed + 1)
    return [
        Part(source, batches, config.caption_dropout, 1.0),
        Part(prior, others, 0.0, config.prior_weight),
    ]


def _piece(
    spec: ModelSpec, part: Part, sides: tuple[int, int], rows: np.ndarray, chances: np.ndarray
) -> Batch:
    """Rows of one part. `chances` [2, B] in [0, 1) choose a caption, and whether it is dropped."""
    source = part.source
    taken = source.take(rows, sides)
    captions = [
        source.empty if drop < part.dropout else options[int(choice * len(options))]
        for options, choice, drop in zip(taken.captions, *chances, strict=True)
    ]
    text = source.text(captions)
    zero = [spec.zero_empty_negative and caption == source.empty for caption in captions]
    return Batch(
        taken.pictures,
        text.ids,
        np.logical_not(zero).astype(np.float32),
        _time_ids(spec, taken.originals, taken.corners, sides),
        np.full(len(rows), part.weight, np.float32),
        taken.condition,
        text.embedded,
    )


def sizes_of(config: TrainConfig, spec: ModelSpec) -> np.ndarray:
    """Heights and widths [K, 2] that pictures are cut to.

    Raises:
      ValueError: a resolution that the model can not take.
    """
    unit = spec.vae.downscale * 2 ** (len(spec.unet.levels) - 1)
    resolution = config.resolution or spec.default_size
    if resolution % unit:
        raise ValueError(f"resolution {resolution} is not a multiple of {unit} pixels")
    return bucket_sizes(resolution, unit, config.max_aspect)


def folder_source(
    config: TrainConfig,
    spec: ModelSpec,
    tokenizers: Sequence[Tokenizer],
    place: str,
    caption: str,
) -> Source:
    """Pictures in the run's sizes.

    Raises:
      ValueError: a resolution that the model can not take, a folder that cannot be used, or few
        captions.
    """
    sizes = sizes_of(config, spec)
    folder = read_data(place, caption)
    check_captions(place, folder.texts, config.uncaptioned)
    return FolderSource(folder, in_buckets(folder.sizes, sizes), tokenizers)


def _time_ids(
    spec: ModelSpec, originals: np.ndarray, corners: np.ndarray, sides: tuple[int, int]
) -> np.ndarray | None:
    """XL's original size, crop and size (Podell et al. 2023, section 2.2), [B, 6] float32."""
    if spec.unet.added is None:
        return None
    if spec.unet.added.time_ids != 6:
        raise ValueError("the XL refiner needs aesthetic scores, which image folders do not have")
    targets = np.repeat([sides], len(originals), axis=0)
    return np.concatenate([originals, corners, targets], axis=1).astype(np.float32)
