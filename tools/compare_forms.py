"""CPU time of the forms of attention and convolution that `jaxsd.nn` chooses from.

    python tools/compare_forms.py

Prints for every shape the CPU time of the form for CPUs divided by that of the plain form: the
median over rounds in which both ran one after the other. CPU time adds up the work of all threads,
so other programs on the machine matter little.
"""

import statistics
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jaxsd.nn.cpu_convolution import convolution_as_products, convolution_of_doubled
from jaxsd.nn.long_attention import transposed_attention
from jaxsd.nn.plain_attention import plain_attention
from jaxsd.nn.winograd import winograd
from jaxsd.types import Array

LAYOUT = {"dimension_numbers": ("NHWC", "HWIO", "NHWC")}
ROUNDS = 5

Form = Callable[..., Array]


def convolve(x: Array, kernel: Array) -> Array:
    """XLA's own 3x3 convolution."""
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), ((1, 1), (1, 1)), **LAYOUT)


def double_and_convolve(x: Array, kernel: Array) -> Array:
    """The same on pixels repeated 2 x 2."""
    return convolve(x.repeat(2, axis=1).repeat(2, axis=2), kernel)


def attention(tokens: int, heads: int, width: int) -> tuple[str, Form, Form, list[tuple]]:
    """A comparison of self-attention: title, the plain form, the other form, and shapes."""
    shape = (2, tokens, heads, width)
    what = f"attention, {tokens} tokens, {heads} heads of {width}"
    return what, plain_attention, transposed_attention, [shape] * 3


def convolution(
    side: int, channels: int, out: int, plain: Form = convolve, form: Form = winograd
) -> tuple[str, Form, Form, list[tuple]]:
    """A comparison of convolutions."""
    what = f"{form.__name__}, {channels} to {out} channels at {side} x {side}"
    return what, plain, form, [(2, side, side, channels), (3, 3, channels, out)]


def doubled(side: int, channels: int) -> tuple[str, Form, Form, list[tuple]]:
    """A comparison of convolutions of doubled pixels."""
    return convolution(side, channels, channels, double_and_convolve, convolution_of_doubled)


COMPARISONS = [
    attention(4096, 8, 40),
    attention(1024, 8, 80),
    attention(256, 8, 160),
    convolution(64, 320, 320),
    convolution(64, 640, 320),
    convolution(32, 640, 640),
    convolution(16, 1280, 1280),
    convolution(16, 1280, 1280, form=convolution_as_products),
    convolution(8, 1280, 1280),
    convolution(8, 1280, 1280, form=convolution_as_products),
    convolution(128, 512, 512),
    convolution(256, 256, 256),
    doubled(8, 1280),
    doubled(16, 1280),
    doubled(32, 640),
    doubled(64, 512),
]
"""Shapes of SD 1.5 at 512 pixels with guidance, and of its VAE."""


def ratio(plain: Form, form: Form, arguments: list[Array]) -> float:
    """Median over rounds of the second form's CPU time divided by the first's."""
    compiled = [jax.jit(f).lower(*arguments).compile() for f in (plain, form)]
    seconds = []
    for _ in range(ROUNDS + 1):
        row = []
        for program in compiled:
            started = time.process_time()
            jax.block_until_ready(program(*arguments))
            row.append(time.process_time() - started)
        seconds.append(row)
    return statistics.median(other / first for first, other in seconds[1:])


def main() -> None:
    """Prints a line for every comparison."""
    generator = np.random.default_rng(0)
    for what, plain, form, shapes in COMPARISONS:
        arguments = [jnp.asarray(generator.standard_normal(s), jnp.float32) for s in shapes]
        print(f"{what}: {ratio(plain, form, arguments):.2f}", flush=True)


if __name__ == "__main__":
    main()
