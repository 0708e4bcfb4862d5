"""Compiled programs whose work `measure_growth.py` lets grow: pixels, images, steps."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np

from jaxsd.benchmark.flops import count_flops
from jaxsd.benchmark.jobs import Job
from jaxsd.benchmark.networks import filled, work
from jaxsd.executables import compiler_options
from jaxsd.nn.attention import attention

SIDES = (256, 384, 512, 768, 1024, 1536)


def program(job: Job) -> Callable[[], None]:
    """A part of a model with random weights, as a function that runs it."""
    function, shapes = work(job)
    compiled = jax.jit(function).lower(*shapes).compile(compiler_options())
    return partial(_run, compiled, _weights(job.part, job.model, shapes[0]), filled(shapes[1:]))


def _run(compiled: Any, params: Any, rest: Any) -> None:
    jax.block_until_ready(compiled(params, *rest))


_WEIGHTS: dict[tuple[str, str], Any] = {}


def _weights(part: str, model: str, shapes: Any) -> Any:
    """Weights that all sizes share."""
    if (part, model) not in _WEIGHTS:
        _WEIGHTS[part, model] = filled(shapes)
    return _WEIGHTS[part, model]


def _of_pixels(part: str, model: str, dtype: str, count: int) -> Job:
    return Job(model, part, dtype, batch=1, size=round(count**0.5), steps=1)


def pixels(part: str, model: str, dtype: str, count: int) -> Callable[[], None]:
    """A part for square pictures of that many pixels."""
    return program(_of_pixels(part, model, dtype, count))


def operations(part: str, model: str, dtype: str, count: int) -> float:
    """Floating-point operations of the same, counted from shapes."""
    function, shapes = work(_of_pixels(part, model, dtype, count))
    return count_flops(function, *shapes)


def self_attention(count: int) -> Callable[[], None]:
    """The outermost self-attention of SD 1.5: 8 heads of 40, a token for 64 pixels."""
    shape = (1, count // 64, 8, 40)
    q, k, v = np.random.default_rng(0).standard_normal((3, *shape)).astype(np.float32)
    compiled = jax.jit(attention).lower(q, k, v).compile(compiler_options())
    return lambda: jax.block_until_ready(compiled(q, k, v))


def _squares(sides: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(side**2 for side in sides)


def _growing_in_pixels(part: str, model: str, dtype: str) -> tuple[Any, ...]:
    own = part, model, dtype
    return "pixels", _squares(SIDES), partial(pixels, *own), partial(operations, *own)


PROGRAMS = {
    "pixels: U-Net": _growing_in_pixels("unet", "emoji", "float32"),
    "pixels: decoder": _growing_in_pixels("vae", "emoji", "float32"),
    "pixels: one self-attention of SD 1.5": ("pixels", _squares(SIDES), self_attention, 2),
    "pixels: U-Net of SD 1.5 in bfloat16": _growing_in_pixels("unet", "sd15", "bfloat16"),
    "images in a call": (
        "images",
        (1, 2, 4, 8, 16),
        lambda count: program(Job("emoji", "unet", "float32", count, 128, 1)),
        1,
    ),
    "steps": (
        "steps",
        (5, 10, 20, 40, 80),
        lambda count: program(Job("emoji", "image", "float32", 1, 128, count)),
        1,
    ),
}
"""Name -> axis, sizes, what is timed, the work's exponent or operations.

Self-attention grows as the square of the pixels, and the rest as the pixels.
"""
