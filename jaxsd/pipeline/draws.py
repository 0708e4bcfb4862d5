"""The noise that other programs draw from a seed: PyTorch's, in the order of diffusers."""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from jaxsd.config import ModelSpec
from jaxsd.generators import GENERATORS
from jaxsd.pipeline.columns import encodes_picture, idle
from jaxsd.sampling.latents import INITIAL_NOISE, MASKED, SOURCE
from jaxsd.schedulers import Tableau
from jaxsd.settings import Settings


def drawn(spec: ModelSpec, settings: Settings) -> Iterator[np.ndarray]:
    """An image's draws [h, w, c] float32, one after the other, without end.

    Each is the image's part of a draw [B, c, h, w] for a whole batch (`Settings.batch_place`).
    """
    generator = GENERATORS[settings.noise](settings.seed)
    place, images = settings.batch_place
    height, width = (side // spec.vae.downscale for side in settings.drawn_size)
    shape = (spec.vae.latent_channels, height, width)
    own = slice(place * math.prod(shape), (place + 1) * math.prod(shape))
    while True:
        batch = generator.normal(images * math.prod(shape))
        yield batch[own].reshape(shape).transpose(1, 2, 0)


def purposes(spec: ModelSpec, settings: Settings) -> list[int]:
    """What an image's first draws are for, of the purposes in `jaxsd.sampling.latents`."""
    masks = spec.unet.sees == "mask"
    begins = encodes_picture(spec, settings) and (settings.strength < 1 or not masks)
    return [SOURCE] * begins + [INITIAL_NOISE] + [MASKED] * (masks or settings.paints)


def first_draws(spec: ModelSpec, settings: Sequence[Settings]) -> dict[int, np.ndarray]:
    """The draws before the first row by their purpose, [B, h, w, c]; none if JAX draws.

    Zeros where an image makes none: what it does not draw has no weight in it.
    """
    if settings[0].noise == "jax":
        return {}
    each = [dict(zip(purposes(spec, one), drawn(spec, one), strict=False)) for one in settings]
    nothing = np.zeros_like(each[0][INITIAL_NOISE])
    used = {*purposes(spec, settings[0])}
    if encodes_picture(spec, settings[0]):
        used.add(SOURCE)
    return {one: np.stack([own.get(one, nothing) for own in each]) for one in sorted(used)}


def fresh_noise(
    spec: ModelSpec, settings: Sequence[Settings], tableaus: Sequence[Tableau]
) -> dict[str, np.ndarray]:
    """The column `fresh` [S, B, h, w, c]: a draw for each row that adds noise, zeros for others.

    No column if JAX draws.
    """
    if settings[0].noise == "jax":
        return {}
    count = max(tableau.rows for tableau in tableaus)
    images = []
    for one, tableau in zip(settings, tableaus, strict=True):
        draws = drawn(spec, one)
        begun = [next(draws) for _ in purposes(spec, one)]
        nothing = np.zeros_like(begun[0])
        rows = [next(draws) if noisy else nothing for noisy in tableau.noise.any(axis=1)]
        images.append(idle(np.stack(rows), count))
    return {"fresh": np.stack(images, axis=1)}
