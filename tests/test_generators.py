"""The generators of PyTorch: numbers that it is known to draw, and its rules written out slowly."""

import math
import zlib

import numpy as np
import pytest

from jaxsd.generators import GENERATORS, Mersenne, Philox
from jaxsd.generators.philox import philox

# torch.randn(count, generator=torch.Generator().manual_seed(42)) of torch 2.13 on x86 with AVX2.
KNOWN_ON_CPU = {
    3: ([0.33669037, 0.12880941, 0.23446237], None),
    100: ([1.9269153, 1.4872841, 0.9007172, -2.105521], 0xA0E01F29),  # six blocks and four numbers
    16384: ([1.9269153, 1.4872841, 0.9007172, -2.105521], 0x1647591C),  # a picture of 512 x 512
}
"""The first numbers, and zlib's crc32 of all."""

# torch.manual_seed(seed), torch.randn(..., device="cuda"), as people's notebooks show it.
KNOWN_ON_CUDA = {
    0: [-0.9247, -0.4253, -2.6438, 0.1452, -0.1209, -0.5797, -0.6229, -0.3284],
    42: [0.1940, 2.1614, -0.1721, 0.8491, -1.9244, 0.6530, -0.6494, -0.8175, 0.5280, -1.2753],
}


@pytest.mark.parametrize("count", KNOWN_ON_CPU)
def test_known_numbers_of_the_cpu(count: int) -> None:
    first, crc = KNOWN_ON_CPU[count]
    got = Mersenne(42).normal(count)
    np.testing.assert_array_equal(got[: len(first)], np.float32(first))
    assert crc in (None, zlib.crc32(got.tobytes()))


@pytest.mark.parametrize("seed", KNOWN_ON_CUDA)
def test_known_numbers_of_cuda(seed: int) -> None:
    want = KNOWN_ON_CUDA[seed]
    np.testing.assert_allclose(Philox(seed).normal(len(want)), want, atol=5.1e-5)


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [
        ([0] * 4, 0, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        (
            [0xFFFFFFFF] * 4,
            0xFFFFFFFFFFFFFFFF,
            [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD],
        ),
        (
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
            0x299F31D0A4093822,
            [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
        ),
    ],
)
def test_philox_has_its_authors_answers(counter: list[int], key: int, words: list[int]) -> None:
    """The known answers of Random123, from zeros, ones and the digits of pi."""
    assert philox(np.uint32(counter)[:, None], key)[:, 0].tolist() == words


def test_many_numbers_of_the_cpu_are_box_and_mullers() -> None:
    """The transform in float64, from the twister's lowest 24 bits; float32 is 1e-6 from it."""
    uniform = np.random.RandomState(3).randint(0, 2**32, 40, np.uint32) % 2**24 / 2**24
    want = np.empty(24)
    for first, drawn in ((0, uniform[:16]), (8, uniform[24:40])):  # the last 16 are drawn anew
        for i in range(8):
            radius = math.sqrt(-2 * math.log(1 - drawn[i]))
            want[first + i] = radius * math.cos(2 * math.pi * drawn[i + 8])
            want[first + i + 8] = radius * math.sin(2 * math.pi * drawn[i + 8])
    np.testing.assert_allclose(Mersenne(3).normal(24), want, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("kind", GENERATORS)
def test_draws_follow_each_other_and_are_normal(kind: str) -> None:
    one, other = GENERATORS[kind](7), GENERATORS[kind](7)
    first, second = one.normal(20_000), one.normal(20_000)
    np.testing.assert_array_equal(first, other.normal(20_000))
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.03
    assert abs(first.mean()) < 0.03
    assert abs(first.std() - 1) < 0.03
    assert np.isfinite(first).all()


def test_a_spare_number_is_kept_for_the_next_call() -> None:
    parts = Mersenne(5)
    np.testing.assert_array_equal(
        np.concatenate([parts.normal(1), parts.normal(2), parts.normal(5)]), Mersenne(5).normal(8)
    )
