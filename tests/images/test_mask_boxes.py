"""A mask that is a box is the mask of a picture that is white there."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_models import TINY

from jaxsd.bulk.rows import pictures_of
from jaxsd.canvases import canvas_of, read_pictures
from jaxsd.images import box_mask, write_picture
from jaxsd.settings import Settings, box_of, checked

SPEC = TINY["sd1"]
PICTURE = np.random.default_rng(0).integers(0, 256, (60, 100, 3), np.uint8)


def test_sides_are_shares_of_the_picture() -> None:
    mask = box_mask((0.25, 0, 0.5, 0.4), 60, 100)
    want = np.zeros((60, 100), np.uint8)
    want[:24, 25:75] = 255
    np.testing.assert_array_equal(mask, want)
    assert (box_mask((0, 0, 1, 1), 7, 5) == 255).all()
    for box in ((0.999, 0.999, 0.001, 0.001), (0, 0.5, 1e-9, 1e-9)):
        assert (box_mask(box, 7, 5) == 255).sum() == 1


@pytest.mark.parametrize("options", [{}, {"only_masked": 8}])
def test_a_box_is_that_part_in_white(tmp_path: Path, options: dict[str, int]) -> None:
    write_picture(tmp_path / "cat.png", PICTURE)
    white = np.zeros_like(PICTURE)
    white[15:45, 20:60] = 255
    write_picture(tmp_path / "white.png", white)
    asked = Settings("a", image="cat.png", width=64, height=64, **options)
    canvases = []
    for mask in ("white.png", "0.2,0.25,0.4,0.5"):
        settings = checked(replace(asked, mask=mask), SPEC)
        pictures, hashes = read_pictures(settings, tmp_path)
        assert hashes.keys() == set(pictures_of(settings))
        canvases.append(canvas_of(settings, pictures))
    assert 0 < canvases[0].mask.mean() < 1
    np.testing.assert_array_equal(canvases[1].mask, canvases[0].mask)
    np.testing.assert_array_equal(canvases[1].image, canvases[0].image)


@pytest.mark.parametrize("mask", ["0,0,1.1,1", "-0.1,0,1,1", "0,0,0,1", "0.5,0,0.6,1", "9,9,9,9"])
def test_a_box_beyond_the_picture_is_one_line(mask: str) -> None:
    with pytest.raises(ValueError, match="is no box within the picture; X,Y,WIDTH,HEIGHT are"):
        checked(Settings("a", image="cat.png", mask=mask), SPEC)


def test_other_texts_are_files() -> None:
    for name in ("mask.png", "0,0,1", "0,0,1,1,1", "a,0,1,1", ""):
        assert box_of(name) is None
