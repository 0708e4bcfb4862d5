"""Masks in files, their blur, and their size in latents."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image

from jaxsd.images import binary, feathered, latent_mask, read_mask

RNG = np.random.default_rng(0)
GREYS = np.array([[0, 51, 102], [153, 204, 255]], np.uint8)


def packed(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def step(height: int = 40, width: int = 120) -> np.ndarray:
    """A mask whose right half is painted."""
    mask = np.zeros((height, width), np.uint8)
    mask[:, width // 2 :] = 255
    return mask


@pytest.mark.parametrize(
    "file",
    [
        packed(Image.fromarray(GREYS)),
        packed(Image.fromarray(np.dstack([GREYS] * 3))),
        packed(Image.fromarray(np.dstack([GREYS] * 3)).quantize(8)),
        packed(Image.fromarray(np.dstack([GREYS, GREYS | 255]))),
        packed(Image.fromarray(GREYS.astype(np.uint16) * 257)),
        packed(Image.fromarray(GREYS.astype(np.uint16) * 257), "PPM"),
        packed(Image.fromarray(GREYS.astype(">u2") * 257), "TIFF"),
        packed(Image.fromarray(GREYS / np.float32(255)), "TIFF"),
    ],
    ids=["8 bits", "RGB", "palette", "opaque", "16 bits", "16 as 32", "big-endian", "float"],
)
def test_greys_survive_every_kind_of_file(file: bytes, tmp_path) -> None:
    np.testing.assert_array_equal(read_mask(file), GREYS)
    (tmp_path / "mask").write_bytes(file)
    np.testing.assert_array_equal(read_mask(tmp_path / "mask"), GREYS)


def test_one_bit_is_black_or_white() -> None:
    assert read_mask(packed(Image.fromarray(GREYS > 128))).tolist() == [[0, 0, 0], [255, 255, 255]]


@pytest.mark.parametrize("colour", [0, 255])
@pytest.mark.parametrize("channels", [1, 3])
def test_transparent_is_painted_whatever_the_colour(colour: int, channels: int) -> None:
    pixels = np.dstack([np.full_like(GREYS, colour)] * channels + [255 - GREYS])
    np.testing.assert_array_equal(read_mask(packed(Image.fromarray(pixels))), GREYS)


@pytest.mark.parametrize("mode", ["L", "P", "1"])
def test_a_transparent_colour_is_painted(mode: str) -> None:
    image = Image.new(mode, (2, 1), 0)
    image.putpixel((1, 0), 1)
    assert read_mask(packed(image, transparency=0)).tolist() == [[255, 0]]


def test_it_is_the_right_way_up() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 3
    np.testing.assert_array_equal(
        read_mask(packed(Image.fromarray(GREYS), exif=exif)), GREYS[::-1, ::-1]
    )


@pytest.mark.parametrize("wrong", [np.float32(2), np.float32(-0.5), np.float32("nan")])
def test_values_beyond_white_are_refused(wrong: np.float32) -> None:
    file = packed(Image.fromarray(np.array([[0, wrong]], np.float32)), "TIFF")
    with pytest.raises(OSError, match=r"no picture: its values are from .* allowed are 0 to 1"):
        read_mask(file)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"GIF89a but no more", "no picture of a known kind"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a git-lfs pointer, not the file itself"),
    ],
)
def test_no_picture_is_an_os_error(content: bytes, why: str) -> None:
    with pytest.raises(OSError, match=why):
        read_mask(content)


def test_no_blur_is_the_mask() -> None:
    found = feathered(GREYS, 0)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, GREYS / np.float32(255))


@pytest.mark.parametrize("radius", [0.5, 1, 4, 8, 12])
def test_a_feather_is_monotone_and_ends(radius: float) -> None:
    found = feathered(step(), radius)
    assert (np.diff(found, axis=1) >= 0).all()
    far = int(3 * radius) + 2
    assert (found[:, : 60 - far] == 0).all()
    assert (found[:, 60 + far :] == 1).all()
    # It is the Gaussian's integral: as much is taken on one side as is given on the other.
    assert found[20].sum() == pytest.approx(60, abs=0.5)
    variance = (np.diff(found[20]) * (np.arange(119) - 59) ** 2).sum()
    assert np.sqrt(variance) == pytest.approx(radius, rel=0.15, abs=0.3)


def test_a_larger_mask_has_a_larger_feather() -> None:
    small = RNG.integers(0, 256, (30, 40), np.uint8)
    large = np.maximum(small, RNG.integers(0, 256, (30, 40), np.uint8))
    assert (feathered(large, 3) >= feathered(small, 3)).all()


def test_a_mask_at_the_edge_of_the_picture_is_not_thinner_there() -> None:
    found = feathered(step(), 4)
    np.testing.assert_array_equal(found, np.broadcast_to(found[20], found.shape))
    assert (found[:, -1] == 1).all()


def test_a_binary_latent_mask_takes_the_first_pixel_of_each_block() -> None:
    mask = (RNG.random((2, 24, 40)) < 0.5).astype(np.float32)
    found = latent_mask(mask, 8)
    assert (found.dtype, found.shape) == (np.float32, (2, 3, 5))
    for i, y, x in np.ndindex(2, 3, 5):
        assert found[i, y, x] == mask[i, 8 * y, 8 * x]


def test_a_soft_latent_mask_stays_soft_and_near() -> None:
    mask = feathered(step(), 12)
    found = latent_mask(mask, 8)
    assert ((found > 0) & (found < 1)).sum(1).min() >= 3
    means = mask.reshape(5, 8, 15, 8).mean((1, 3))
    # Half a block, at the slope of a Gaussian's integral: 3.5 / (12 * sqrt(2 pi)).
    assert np.abs(found - means).max() < 0.13


def test_half_is_painted() -> None:
    assert binary(np.float32([0, 0.49, 0.5, 1])).tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: feathered(step(), -1), "mask blur is -1;"),
        (lambda: feathered(step(), float("nan")), "mask blur is nan;"),
        (lambda: feathered(step() / 255, 1), "mask is float64; uint8 is needed"),
        (lambda: feathered(step()[..., None], 1), r"shape \(40, 120, 1\); \[H, W\] is needed"),
        (lambda: latent_mask(step(), 8), r"mask is uint8; floats in \[0, 1\] are needed"),
        (lambda: latent_mask(step().astype(np.float32), 8), "values from 0.0 to 255.0"),
        (lambda: latent_mask(np.full((8, 8), np.nan), 8), "values from nan to nan"),
        (lambda: latent_mask(np.zeros((40, 60)), 8), "mask is 60x40; .* multiples of 8"),
    ],
)
def test_what_is_wrong_is_named(call, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        call()
