"""Pixels of composed pictures."""

import numpy as np
import pytest
from emoji import compose
from emoji.words import COLOURS, SHAPES


def test_a_half_transparent_drawing_lies_half_over_its_background():
    rgba = np.full((2, 2, 4), (200, 100, 0, 51), np.uint8)
    image = compose.on_background(rgba, "black")
    np.testing.assert_array_equal(image[0, 0], COLOURS["black"])
    np.testing.assert_array_equal(image[63, 63], [20 + 0.2 * 180, 20 + 0.2 * 80, 20 - 0.2 * 20])


@pytest.mark.parametrize("name", SHAPES)
def test_shapes_are_centred_and_clear_of_the_frame(name):
    alpha = compose.shape(name)[..., 3]
    assert alpha.shape == (128, 128)
    assert alpha.max() == 255
    assert not alpha[:10].any()
    assert not alpha[-10:].any()
    middle = alpha.sum(0) @ np.arange(128) / alpha.sum()
    # Pillow counts the right border as inside: half a pixel of the fourfold size.
    assert middle == pytest.approx(63.5, abs=0.15)


def test_shapes_have_their_areas():
    covered = {name: (compose.shape(name)[..., 3] / 255).sum() for name in SHAPES}
    r = 0.36 * 128
    expected = {"circle": np.pi * r**2, "square": 4 * r**2, "diamond": 2 * 0.75 * r**2}
    for name, area in expected.items():
        # Pillow's outlines include their border pixel: half a pixel of four on every side.
        assert covered[name] == pytest.approx(area, rel=0.02)


def test_an_unknown_shape_is_named():
    with pytest.raises(ValueError, match="hexagon"):
        compose.shape("hexagon")


def test_tinting_keeps_the_outline_and_one_colour():
    rgba = np.random.default_rng(0).integers(0, 256, (8, 8, 4), np.uint8)
    flat = compose.tinted(rgba, "purple")
    np.testing.assert_array_equal(flat[..., 3], rgba[..., 3])
    assert {tuple(pixel) for pixel in flat[..., :3].reshape(-1, 3)} == {COLOURS["purple"]}


def test_a_flag_gets_an_edge_around_what_is_drawn():
    flag = np.zeros((8, 8, 4), np.uint8)
    flag[2:6, :] = 255
    edged = compose.edged(flag)
    assert tuple(edged[2, 4, :3]) == compose.FLAG_EDGE
    assert tuple(edged[5, 0, :3]) == compose.FLAG_EDGE
    assert tuple(edged[3, 4, :3]) == (255, 255, 255)
    assert not edged[1].any()
