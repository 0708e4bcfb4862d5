"""Sizes that feature networks and thumbnails have."""

import numpy as np
import pytest

from jaxsd.images import clean_resize, clip_resize, thumbnail
from jaxsd.images.resize import sampled

RNG = np.random.default_rng(0)


def bicubic_weights(length: int, side: int) -> np.ndarray:
    """[side, length]: Keys' cubic with a = -0.5, as wide as the step between new pixels."""
    scale = length / side
    width = max(scale, 1.0)
    centres = (np.arange(side) + 0.5) * scale - 0.5
    x = np.abs(np.arange(length)[None] - centres[:, None]) / width
    near, far = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    weights = np.where(x < 1, near, np.where(x < 2, far, 0))
    return weights / weights.sum(1, keepdims=True)


@pytest.mark.parametrize("size", [(37, 61), (8, 6), (20, 20)])
def test_clean_resize_is_a_bicubic_filter_that_widens(size: tuple[int, int]) -> None:
    image = RNG.integers(0, 256, (*size, 3), np.uint8)
    rows, columns = (bicubic_weights(length, 20) for length in size)
    want = np.einsum("yh,xw,hwc->yxc", rows, columns, image.astype(float)).clip(0, 255)
    got = clean_resize(image, 20)
    assert got.dtype == np.float32
    # Pillow goes by columns first and keeps float32 in between.
    np.testing.assert_allclose(got, want, atol=1e-3)


def test_clean_resize_does_not_round() -> None:
    image = RNG.integers(0, 256, (31, 33, 3), np.uint8)
    assert np.abs(clean_resize(image, 20) % 1 - 0.5).min() < 0.01


def test_clip_resize_takes_the_middle() -> None:
    image = np.zeros((40, 120, 3), np.uint8)
    image[:, 40:80] = 255
    assert clip_resize(image, 40).min() == 255
    assert clip_resize(image.transpose(1, 0, 2), 40).min() == 255
    assert clip_resize(image, 16).shape == (16, 16, 3)
    assert clip_resize(image[:20, :20], 16).dtype == np.uint8


def test_a_thumbnail_is_whole_and_on_white() -> None:
    found = thumbnail(np.zeros((10, 20, 3), np.uint8), 8)
    assert found.shape == (8, 8, 3)
    np.testing.assert_array_equal(found[:2], 255)
    np.testing.assert_array_equal(found[2:6], 0)


def test_sampled_is_pytorchs_bicubic_filter():
    """Keys' kernel by hand: halves and quarters of [H, W], and a size of its own."""
    values = np.random.default_rng(0).random((6, 8)).astype(np.float32)
    np.testing.assert_allclose(sampled(values, 6, 8), values, atol=1e-6)
    taps = np.array([-3, 19, 19, -3]) / 32  # a = -0.75, in the middle between two values
    want = np.array([taps @ values[1:5, j : j + 4] @ taps for j in (1, 3)])
    np.testing.assert_allclose(sampled(values, 3, 4)[1, 1:3], want, atol=1e-6)
    np.testing.assert_allclose(sampled(np.ones((5, 7)), 2, 3), 1, atol=1e-6)
