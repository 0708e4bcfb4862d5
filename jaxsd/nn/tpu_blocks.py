"""How many heads, keys and queries the attention kernel has in a TPU's vector memory at a time."""

import math

LANES = 128
"""Numbers of a row of vector memory. Blocks of whole rows can be cut out of an array."""

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
    """Queries at a time: 128 to 512, a multiple of 16 unless it is all of them.

    Their logits lie in whole rows. Counted by keys, 1,054 of them took more memory than there is.
    """
    fit = LOGITS // (math.ceil(keys / LANES) * LANES) // 16 * 16
    return min(length, max(LANES, min(4 * LANES, fit)))
