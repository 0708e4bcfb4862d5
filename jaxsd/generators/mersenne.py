"""Torch's generator on CPUs: the Mersenne Twister and two forms of Box and Muller's transform.

The form for 16 numbers and more is one of float32 polynomials (those of Cephes) for eight numbers
at a time, so its last bits depend on the processor. Here they are those of x86 with AVX2.
"""

import numpy as np

BLOCK = 16
"""Numbers that the form for many makes at once; fewer than that are made by the other form."""

LOGARITHM = (
    7.0376836292e-2,
    -1.1514610310e-1,
    1.1676998740e-1,
    -1.2420140846e-1,
    1.4249322787e-1,
    -1.6668057665e-1,
    2.0000714765e-1,
    -2.4999993993e-1,
    3.3333331174e-1,
)
LN_2 = (0.693359375, -2.12194440e-4)
"""In two parts, whose sum is more exact than a float32."""
SINE = (-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1)
COSINE = (2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2)
QUARTER_PI = (0.78515625, 2.4187564849853515625e-4, 3.77489497744594108e-8)
"""In three parts."""


class Mersenne:
    """The generator of a seed, of which the lowest 32 bits count."""

    def __init__(self, seed: int) -> None:
        self._twister = np.random.RandomState(seed & 0xFFFFFFFF)
        self._spare: float | None = None

    def normal(self, count: int) -> np.ndarray:
        """The next `count` unit normal numbers, [count] float32, as one call of randn has them."""
        return self._few(count) if count < BLOCK else self._many(count)

    def _words(self, count: int) -> np.ndarray:
        return np.frombuffer(self._twister.bytes(4 * count), "<u4")

    def _many(self, count: int) -> np.ndarray:
        """Blocks of 16; a last one that is not whole is made of new numbers, and overlaps."""
        values = np.empty(count, np.float32)
        uniform = (self._words(count) & 0xFFFFFF).astype(np.float32) * np.float32(2**-24)
        whole = count - count % BLOCK
        values[:whole] = box_muller(uniform[:whole].reshape(-1, 2, BLOCK // 2)).ravel()
        if whole < count:
            more = (self._words(BLOCK) & 0xFFFFFF).astype(np.float32) * np.float32(2**-24)
            values[-BLOCK:] = box_muller(more.reshape(-1, 2, BLOCK // 2)).ravel()
        return values

    def _few(self, count: int) -> np.ndarray:
        """One by one in float64, in pairs of which the second may be left for a later call."""
        made = [] if self._spare is None or not count else [self._spare]
        if made:
            self._spare = None
        while len(made) < count:
            high, low = self._words(4).astype(np.uint64).reshape(2, 2).T
            whole = (high << np.uint64(32) | low) & np.uint64(2**53 - 1)
            u, v = whole.astype(float) * 2.0**-53
            radius, angle = np.sqrt(-2 * np.log1p(-v)), 2 * np.pi * u
            made += [radius * np.cos(angle), radius * np.sin(angle)]
        if len(made) > count:
            self._spare = made.pop()
        return np.array(made, np.float32)


def box_muller(uniform: np.ndarray) -> np.ndarray:
    """Normal numbers of uniform ones in [0, 1), both [n, 2, 8] float32."""
    radius = np.sqrt(np.float32(-2) * log(np.float32(1) - uniform[:, 0]))
    sin, cos = sin_cos(np.float32(2 * np.pi) * uniform[:, 1])
    return np.stack([radius * cos, radius * sin], axis=1)


def log(x: np.ndarray) -> np.ndarray:
    """Natural logarithm of positive float32: that of the mantissa, and the exponent times ln 2."""
    mantissa, exponent = np.frexp(x)
    small = mantissa < np.float32(np.sqrt(0.5))
    r = (mantissa - np.float32(1)) + np.where(small, mantissa, np.float32(0))
    e = (exponent - small).astype(np.float32)
    squared = r * r
    y = polynomial(LOGARITHM, r) * r
    y = fused(y, squared, e * np.float32(LN_2[1]))
    y = fused(squared, -0.5, y)
    return fused(e, LN_2[0], r + y)


def sin_cos(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sine and cosine of float32 from 0 to 2*pi, by the distance to a multiple of pi/2."""
    octant = (x * np.float32(4 / np.pi)).astype(np.int32) + 1 & ~1
    for part in QUARTER_PI:
        x = fused(octant.astype(np.float32), -part, x)
    squared = x * x
    cos = polynomial(COSINE, squared) * squared
    cos = fused(cos, squared, squared * np.float32(-0.5)) + np.float32(1)
    sin = fused(polynomial(SINE, squared) * squared, x, x)
    swapped = octant & 2 != 0
    sin, cos = np.where(swapped, cos, sin), np.where(swapped, sin, cos)
    return np.where(octant & 4, -sin, sin), np.where(octant + 2 & 4, -cos, cos)


def polynomial(coefficients: tuple[float, ...], x: np.ndarray) -> np.ndarray:
    """Horner's rule, highest power first, each step with one rounding."""
    y = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        y = fused(y, x, coefficient)
    return y


def fused(a: np.ndarray, b: np.ndarray | float, c: np.ndarray | float) -> np.ndarray:
    """a*b + c of float32 with one rounding.

    The product is exact in float64. The sum is rounded to odd there, so that rounding it again to
    float32 gives what one rounding would (Boldo and Melquiond 2008, theorem 3).
    """
    product = a.astype(float) * np.float64(np.float32(b))
    addend = np.float32(c).astype(float)
    total = product + addend
    back = total - product
    error = (product - (total - back)) + (addend - back)  # of the sum, exactly (Knuth's two-sum)
    bits = total.view(np.int64)
    inexact = (error != 0) & (bits & 1 == 0)
    toward = np.where((error > 0) == (total > 0), 1, -1)
    return np.where(inexact, bits + toward, bits).view(np.float64).astype(np.float32)
