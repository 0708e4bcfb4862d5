"""Batches for the loss of a model: pictures of a folder, captions as token ids, sizes."""

from collections.abc import Callable, Sequence

import numpy as np

from jaxsd.config import ModelSpec
from jaxsd.images import read_cropped
from jaxsd.text import Tokenizer
from jaxsd.training.config import TrainConfig
from jaxsd.training.data import generator
from jaxsd.training.diffusion import Batch
from jaxsd.training.folder import Batches, Folder, bucket_sizes, decoded, read_folder


def captioned_batches(
    config: TrainConfig, spec: ModelSpec, tokenizers: Sequence[Tokenizer]
) -> Callable[[int], Batch]:
    """Reads the list of pictures, and gives number -> batch.

    With `prior_data` the second half of each batch are pictures of the class, in the size of the
    first half and without dropout.

    Raises:
      ValueError: a resolution that the model can not take, or a folder that does not serve.
    """
    unit = spec.vae.downscale * 2 ** (len(spec.unet.levels) - 1)
    resolution = config.resolution or spec.default_size
    if resolution % unit:
        raise ValueError(f"resolution {resolution} is not a multiple of {unit} pixels")
    sizes = bucket_sizes(resolution, unit, config.max_aspect)
    folder = read_folder(config.data, config.caption)
    batches = Batches(folder, config.batch_size, sizes, config.seed)
    prior = None
    if config.prior_data:
        if config.batch_size % 2:
            raise ValueError(f"batch_size {config.batch_size} is odd; half of it is prior_data")
        batches = Batches(folder, config.batch_size // 2, sizes, config.seed)
        others = read_folder(config.prior_data, config.prior_caption)
        prior = Batches(others, config.batch_size // 2, sizes, config.seed + 1)

    def batch(number: int) -> Batch:
        rng = generator(config.seed, number)
        sides, rows = batches.rows(number)
        pictures, corners, rows = decoded(folder, rows, sides)
        texts = [folder.texts[row][rng.integers(len(folder.texts[row]))] for row in rows]
        dropped = rng.random(len(texts)) < config.caption_dropout
        texts = ["" if drop else text for text, drop in zip(texts, dropped, strict=True)]
        weight, originals = np.ones(len(rows), np.float32), folder.sizes[rows]
        condition = _conditions(folder, rows, sides)
        if prior is not None:
            more, more_corners, rows = decoded(others, prior.rows(number)[1], sides)
            pictures = np.concatenate([pictures, more])
            corners = np.concatenate([corners, more_corners])
            originals = np.concatenate([originals, others.sizes[rows]])
            texts += [others.texts[row][0] for row in rows]
            weight = np.repeat(np.float32([1, config.prior_weight]), len(rows))
        zero = [spec.zero_empty_negative and not text for text in texts]
        return Batch(
            pictures,
            tuple(tokenizer(texts) for tokenizer in tokenizers),
            np.logical_not(zero).astype(np.float32),
            _time_ids(spec, originals, corners, sides),
            weight,
            condition,
        )

    return batch


def _conditions(folder: Folder, rows: np.ndarray, sides: tuple[int, int]) -> np.ndarray | None:
    """Images [B, H, W, 3] uint8 for a ControlNet, cut as their pictures; `None` if one has none."""
    files = [folder.conditions[row] for row in rows]
    if None in files:
        return None
    return np.stack([read_cropped(file, *sides)[0] for file in files])


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
