"""The rule by which pictures, masks and hints of any size come to the size that is drawn."""

import numpy as np
import pytest
from PIL import Image

from jaxsd.images import fitted, png_bytes, read_cropped

RNG = np.random.default_rng(0)
SIZES = [(37, 61), (61, 37), (8, 64), (64, 8), (100, 100), (3, 90)]


def smooth(height: int, width: int) -> np.ndarray:
    """uint8 [height, width, 3] of slow waves, which no order of filters clips."""
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(0.02 * (k + 1) * y + 0.03 * x) for k in range(3)]
    return np.round(128 + 100 * np.stack(waves, -1)).astype(np.uint8)


def test_a_picture_of_the_size_is_unchanged() -> None:
    for shape in [(24, 40), (24, 40, 3), (24, 40, 1), (24, 40, 5)]:
        image = RNG.integers(0, 256, shape, np.uint8)
        np.testing.assert_array_equal(fitted(image, 24, 40), image)


@pytest.mark.parametrize(
    ("height", "width", "rows", "columns"),
    [(24, 41, slice(None), slice(8, 32)), (25, 24, slice(0, 24), slice(None))],
)
def test_a_picture_as_high_or_as_wide_is_cut_only(height, width, rows, columns) -> None:
    image = RNG.integers(0, 256, (height, width, 3), np.uint8)
    np.testing.assert_array_equal(fitted(image, 24, 24), image[rows, columns])


@pytest.mark.parametrize("size", SIZES)
def test_it_is_the_middle_of_the_whole_picture_scaled(size: tuple[int, int]) -> None:
    image, (height, width) = smooth(*size), (40, 56)
    scale = max(height / size[0], width / size[1])
    sides = (max(width, round(size[1] * scale)), max(height, round(size[0] * scale)))
    whole = Image.fromarray(image).resize(sides, Image.Resampling.LANCZOS)
    left, top = (sides[0] - width) // 2, (sides[1] - height) // 2
    want = np.asarray(whole.crop((left, top, left + width, top + height))).astype(int)
    # Pillow filters the axis first that is less work, and rounds in between.
    assert np.abs(fitted(image, height, width) - want).max() <= 1
    pixels, *corner = read_cropped(png_bytes(image), height, width)
    np.testing.assert_array_equal(pixels, fitted(image, height, width))
    assert corner == [top, left]


@pytest.mark.parametrize("size", [(60, 120), (120, 60), (96, 96), (400, 44)])
@pytest.mark.parametrize("drawn", [(48, 48), (32, 64), (64, 24), (300, 200)])
def test_a_centred_square_stays_centred_and_square(size, drawn) -> None:
    image = np.zeros(size, np.uint8)
    image[size[0] // 2 - 8 : size[0] // 2 + 8, size[1] // 2 - 8 : size[1] // 2 + 8] = 255
    found = fitted(image, *drawn) / 255
    scale = max(drawn[0] / size[0], drawn[1] / size[1])
    for axis in (0, 1):
        profile = found.max(axis=1 - axis) > 0.5
        middle = (np.flatnonzero(profile) + 0.5).mean()
        assert middle == pytest.approx(drawn[axis] / 2, abs=0.5)
        # Where a border lies is known to a pixel of the old picture or of the new one.
        assert profile.sum() == pytest.approx(min(16 * scale, drawn[axis]), abs=max(1, scale))


def test_channels_stay_aligned() -> None:
    image = RNG.integers(0, 256, (50, 70, 3), np.uint8)
    alpha = RNG.integers(0, 256, (50, 70), np.uint8)
    found = fitted(np.dstack([image, alpha]), 32, 24)
    np.testing.assert_array_equal(found[..., :3], fitted(image, 32, 24))
    np.testing.assert_array_equal(found[..., 3], fitted(alpha, 32, 24))


def test_a_long_picture_costs_no_more_than_what_is_seen_of_it() -> None:
    # Scaled whole it would have 512 x 10 million pixels.
    assert fitted(np.full((1, 20_000), 7, np.uint8), 512, 512).min() == 7


@pytest.mark.parametrize(
    ("image", "size", "said"),
    [
        (np.zeros((4, 4, 3), np.float32), (8, 8), "image is float32; uint8 is needed"),
        (np.zeros((4,), np.uint8), (8, 8), r"shape \(4,\)"),
        (np.zeros((0, 4, 3), np.uint8), (8, 8), r"shape \(0, 4, 3\)"),
        (np.zeros((4, 4, 3), np.uint8), (8, 0), "the size is 0x8"),
    ],
)
def test_what_can_not_be_fitted_is_named(image, size, said) -> None:
    with pytest.raises(ValueError, match=said):
        fitted(image, *size)
