"""The noise of a batch as ComfyUI draws it: one call of torch for all images."""

from collections.abc import Iterator, Sequence

import numpy as np

from jaxsd.generators import GENERATORS

Shape = tuple[int, int, int, int]
"""[B, h, w, c]."""


def first_noise(seed: int, shape: Shape, numbers: Sequence[int] | None = None) -> np.ndarray:
    """Unit noise [B, h, w, c] float32 of a seed, drawn by torch on a CPU.

    Args:
      seed: 0 to 2^64 - 1, of which torch's generator takes the lowest 32 bits.
      shape: of the latents.
      numbers: the place of each image in the batch whose noises are drawn one by one; None for all
        at once.
    """
    generator = GENERATORS["torch"](seed)
    if numbers is None:
        return _drawn(generator, shape)
    one = (1, *shape[1:])
    each = [_drawn(generator, one)[0] for _ in range(max(numbers) + 1)]
    return np.stack([each[number] for number in numbers])


def later_noises(kind: str, seed: int, shape: Shape) -> Iterator[np.ndarray]:
    """What samplers draw after the first noise, without end.

    On a CPU ComfyUI's samplers use the next seed, on an NVIDIA GPU the same one.
    """
    generator = GENERATORS[kind](seed + 1 if kind == "torch" else seed)
    while True:
        yield _drawn(generator, shape)


def _drawn(generator: object, shape: Shape) -> np.ndarray:
    batch, height, width, channels = shape
    drawn = generator.normal(batch * height * width * channels)
    return drawn.reshape(batch, channels, height, width).transpose(0, 2, 3, 1)
