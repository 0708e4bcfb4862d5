"""What kernels have in a TPU's vector memory at a time: heads, keys and queries; rows of a map."""

import math
from collections.abc import Callable

import jax.numpy as jnp

LANES = 128
"""Numbers of a row of vector memory. Blocks of whole rows can be cut out of an array."""

LIMIT = 3 * 2**23
"""Bytes of vector memory that a kernel may take. A v5e and a v5p give it 16 MiB unless it asks for
more; heads of attention that are computed side by side took up to 18.2 where a batch is so large
that their arrays lie in main memory. With this the kernels compile for a v4 too.
"""

KEPT = 2**21
"""Numbers of a block of keys up to which the kernel is used. Keys and values are 8.4 MB then; a TPU
v4 has 16 MiB of vector memory.
"""

KEYS = 9216
"""Keys up to which the kernel is used: the logits of 128 queries are 4.7 MB then."""

LOGITS = 2**19
"""Logits of a head at a time, if these are of 128 queries or more. With twice as many the compiler
took 1.5 times as long, and the kernel 0.9 of the cycles.
"""


def fits(keys: int, heads: int, width: int) -> bool:
    """Whether the keys and values of a block of heads lie in vector memory whole."""
    lanes = block_of_heads(heads, width)
    return keys <= KEYS and keys * math.ceil(lanes / LANES) * LANES <= KEPT


def block_of_heads(heads: int, width: int) -> int:
    """Numbers of the fewest heads that fill whole rows; of all heads if these are not more."""
    return min(math.lcm(width, LANES), heads * width)


def block_of_queries(length: int, keys: int) -> int:
    """Queries at a time: up to 512, a multiple of 16 unless it is all of them, in equal blocks.

    Their logits lie in whole rows. Counted by keys, 1,054 of them took more memory than there is.
    """
    most = max(LANES, min(4 * LANES, LOGITS // _in_rows(keys) // 16 * 16))
    equal = math.ceil(length / math.ceil(length / most))
    return min(length, math.ceil(equal / 16) * 16)


TAPS = 2**19
"""Input times output channels up to which a 3x3 kernel lies in vector memory whole, as 9.4 MB."""

PUSHES = 4096
"""Tiles of 8 pixels by 128 channels that the products of a convolution take at a time. The compiler
writes each of them out.
"""

ROOM = 2**24
"""Bytes of vector memory for the blocks of a convolution. A TPU v4 has as many."""


def convolves(shape: tuple[int, ...], outputs: int, dtype: jnp.dtype) -> bool:
    """Whether a 3x3 convolution of [B, h, w, c] is computed by the kernel.

    Few channels are too: XLA would lay out what follows by channels, which costs 3.4 million cycles
    in a step of SD 1.5.

    Rows of pixels have to be whole tiles of vector memory, half ones where a map is computed at
    once. Fewer than 128 pixels at a time would wait for the kernel's numbers.
    """
    _, height, width, channels = shape
    if dtype != jnp.bfloat16 or outputs < LANES or _room(1, width, channels, outputs) > ROOM:
        return False
    rows = block_of_rows(height, width, channels, outputs)
    some = rows_at_a_time(rows, width, channels, block_of_outputs(channels, outputs))
    if some == height:
        return width % 8 == 0
    return width % 16 == 0 and some * width >= LANES


def block_of_outputs(channels: int, outputs: int) -> int:
    """Output channels of a 3x3 kernel at a time: all, or 128."""
    return outputs if channels * outputs <= TAPS else min(outputs, LANES)


def block_of_rows(height: int, width: int, channels: int, outputs: int) -> int:
    """Rows of a map that lie in vector memory at a time, a divisor of all."""
    return _largest_divisor(height, lambda rows: _room(rows, width, channels, outputs) <= ROOM)


def rows_at_a_time(rows: int, width: int, channels: int, lanes: int) -> int:
    """Rows of a block that are multiplied at a time, a divisor of all."""
    pushes = 9 * math.ceil(channels / LANES) * math.ceil(lanes / LANES) * width / 8
    return _largest_divisor(rows, lambda some: some * pushes <= PUSHES)


def _room(rows: int, width: int, channels: int, outputs: int) -> int:
    """Bytes of the blocks, each twice so that the next one can be fetched, unless the whole kernel
    stays; and of a copy of the rows that are multiplied, and their three sums.
    """
    lanes, pixels = block_of_outputs(channels, outputs), rows * width
    some = rows_at_a_time(rows, width, channels, lanes) * width
    taps = 9 * channels * _in_rows(lanes) * (1 if lanes == outputs else 2)
    channels, lanes = _in_rows(channels), _in_rows(lanes)
    blocks = 2 * (pixels + 2 * width) * channels + taps + 2 * pixels * lanes
    return 2 * (blocks + (some + 2 * width) * channels) + 4 * 3 * some * lanes


def _in_rows(numbers: int) -> int:
    """How many numbers of whole rows of vector memory hold so many."""
    return math.ceil(numbers / LANES) * LANES


def _largest_divisor(number: int, fits: Callable[[int], bool]) -> int:
    """The largest divisor that fits, or 1."""
    return max(n for n in range(1, number + 1) if number % n == 0 and (n == 1 or fits(n)))
