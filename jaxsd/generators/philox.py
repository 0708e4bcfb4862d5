"""Torch's generator on CUDA devices, and webui's "NV": Philox 4x32-10 and cuRAND's Box-Muller.

Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3", section 3.3.
"""

import numpy as np

MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)
ROUNDS = 10
INVERSE = np.float32(2.0**-32)


class Philox:
    """The generator of a seed."""

    def __init__(self, seed: int) -> None:
        self._key = seed
        self._draws = 0

    def normal(self, count: int) -> np.ndarray:
        """The next `count` unit normal numbers, [count] float32, as one call of randn has them.

        Number i is the first that thread i makes, with a counter of its own. A device with fewer
        threads than numbers has each make several, and gives others from there on.
        """
        counter = np.zeros((4, count), np.uint32)
        counter[0] = self._draws
        counter[2] = np.arange(count)
        self._draws += 1
        return box_muller(*philox(counter, self._key)[:2])


def philox(counter: np.ndarray, key: int) -> np.ndarray:
    """The ten rounds: [4, n] uint32 of counters [4, n] uint32 and a key of 64 bits."""
    a, b, c, d = (part.astype(np.uint64) for part in counter)
    low = np.uint64(2**32 - 1)
    first, second = key & 0xFFFFFFFF, key >> 32 & 0xFFFFFFFF
    for _ in range(ROUNDS):
        p, q = a * np.uint64(MULTIPLIERS[0]), c * np.uint64(MULTIPLIERS[1])
        a, b = q >> np.uint64(32) ^ b ^ np.uint64(first), q & low
        c, d = p >> np.uint64(32) ^ d ^ np.uint64(second), p & low
        first, second = first + WEYL[0] & 0xFFFFFFFF, second + WEYL[1] & 0xFFFFFFFF
    return np.stack([a, b, c, d]).astype(np.uint32)


def box_muller(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Float32 normal numbers of uint32 ones: of each of cuRAND's pairs the first, with the sine."""
    u = x.astype(np.float32) * INVERSE + INVERSE / 2
    v = (y.astype(np.float32) * INVERSE + INVERSE / 2) * np.float32(2 * np.pi)
    return np.sqrt(np.float32(-2) * np.log(u)) * np.sin(v)
