"""Parts of pictures that are drawn by themselves and put back."""

import numpy as np
import pytest

from jaxsd.canvases import Pictures, canvas_of, pasted_back
from jaxsd.images.regions import Box, cut, put_back, region_of
from jaxsd.settings import Control, Settings

IMAGE = np.random.default_rng(0).integers(0, 256, (60, 100, 3)).astype(np.uint8)


def mask_of(top: int, left: int, bottom: int, right: int) -> np.ndarray:
    mask = np.zeros(IMAGE.shape[:2], np.uint8)
    mask[top:bottom, left:right] = 255
    return mask


@pytest.mark.parametrize(
    ("painted", "padding", "size", "box"),
    [
        ((20, 40, 30, 50), 4, (8, 8), (16, 36, 34, 54)),  # a square stays one
        ((20, 40, 30, 60), 0, (8, 8), (15, 40, 35, 60)),  # grows by 10, half above
        ((0, 40, 10, 60), 5, (8, 8), (0, 35, 30, 65)),  # is moved into the picture
        ((55, 90, 60, 100), 10, (8, 16), (45, 70, 60, 100)),
        ((5, 0, 55, 100), 32, (8, 8), (0, 0, 60, 100)),  # is not larger than the picture
    ],
)
def test_boxes_by_hand(painted: tuple, padding: int, size: tuple, box: tuple) -> None:
    found = region_of(mask_of(*painted), padding, *size)
    assert found == Box(*box)


def test_what_is_cut_comes_back() -> None:
    box = Box(10, 20, 42, 84)
    part = cut(IMAGE, box, 32, 64)
    np.testing.assert_array_equal(part, IMAGE[10:42, 20:84])
    np.testing.assert_array_equal(put_back(part, IMAGE, box), IMAGE)
    assert cut(IMAGE[..., 0], box, 16, 16).shape == (16, 16)


def test_a_canvas_is_the_part_and_its_picture_comes_back_whole() -> None:
    given = {"image": "a", "mask": "b", "mask_blur": 0.0, "control": (Control("c", "edges"),)}
    settings = Settings("a", width=16, height=16, only_masked=8, **given)
    pictures = Pictures(IMAGE, mask_of(20, 40, 36, 56), (IMAGE,))
    canvas = canvas_of(settings, pictures)
    assert canvas.around.box == Box(12, 32, 44, 64)
    assert canvas.image.shape == canvas.hints[0].shape == (16, 16, 3)
    np.testing.assert_array_equal(canvas.image, canvas.hints[0])  # they stay aligned
    assert canvas.mask[5:11, 5:11].min() > 0.99
    assert canvas.mask[:3].max() < 0.05
    drawn = np.full((16, 16, 3), 77, np.uint8)
    whole = pasted_back(drawn, canvas, settings)
    want = IMAGE.copy()
    want[20:36, 40:56] = 77
    np.testing.assert_array_equal(whole, want)


def test_a_black_mask_is_refused() -> None:
    with pytest.raises(ValueError, match="the mask is black everywhere; only_masked needs a part"):
        region_of(mask_of(0, 0, 0, 0), 4, 8, 8)
