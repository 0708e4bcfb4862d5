"""Neon signs glow where a picture has edges, and what was black is teal."""

import numpy as np
import pytest

pytest.importorskip("resvg_py", reason="the extra [emoji] draws SVG")

from build_emoji_looks import LOOKS, save
from emoji import compose, looks
from emoji.pictures import Picture
from emoji.words import COLOURS
from made_up import draw_made_up, made_up_glyph
from PIL import Image

from jaxsd.training.folder import read_folder


def disc(colour: tuple[int, ...], radius: float = 40) -> np.ndarray:
    """On white, [128, 128, 3] uint8."""
    rows, columns = np.mgrid[-63.5:64, -63.5:64]
    inside = np.hypot(rows, columns)[..., None] < radius
    return np.where(inside, np.uint8(colour), np.uint8(255))


def test_a_plain_picture_is_night() -> None:
    for colour in COLOURS.values():
        found = looks.neon(np.full((128, 128, 3), colour, np.uint8))
        np.testing.assert_array_equal(found, np.broadcast_to(looks.NIGHT, found.shape))


def test_an_edge_glows_in_the_colour_of_what_it_bounds() -> None:
    for channel, colour in enumerate([(220, 40, 40), (50, 165, 70), (45, 110, 220)]):
        sign = looks.neon(disc(colour)).astype(int)
        assert sign[64, 64].tolist() == list(looks.NIGHT)
        assert sign[64, 23:26].mean(axis=0).argmax() == channel
        rows, columns = np.nonzero(sign.max(axis=-1) > 200)
        distance = np.hypot(rows - 63.5, columns - 63.5)
        assert 36 < distance.min() < 40 < distance.max() < 44


def test_two_colours_of_a_drawing_give_any_third() -> None:
    glyph = made_up_glyph(3)
    glyph[..., 3] = np.linspace(0, 255, 112)  # half transparent pixels as well
    black, white, blue = (compose.on_background(glyph, name) for name in ("black", "white", "blue"))
    found = looks.recoloured(black, white, COLOURS["blue"])
    np.testing.assert_allclose(found, blue.astype(int), atol=1)


def test_the_folders_are_what_training_reads(tmp_path) -> None:
    listed = [
        Picture("train", "plain", "lamp", "noto", captions=("a lamp", "lamp")),
        Picture("train", "background", "lamp", "noto", "black", captions=("a lamp on black",)),
        Picture(
            "train", "silhouette", "lamp", "icon", "white", "black", captions=("a black lamp",)
        ),
        Picture("train", "silhouette", "lamp", "icon", "white", "red", captions=("a red lamp",)),
        Picture("train", "flag", "lamp", "flag", captions=("no lamp",)),
        Picture("gallery", "plain", "lamp", "flat", captions=("lamp",)),
    ]
    for name, look in LOOKS.items():
        save(tmp_path / name, look([(draw_made_up, listed)]))
    neon, teal = (read_folder(tmp_path / name) for name in LOOKS)
    assert ("a lamp", "lamp") in neon.texts
    assert not {("no lamp",), ("lamp",)} & set(neon.texts)
    assert teal.texts == (("a lamp on <teal>",), ("a <teal> lamp",))
    for row in range(2):
        pixels = np.asarray(Image.open(teal.read(row)[0]))
        assert (pixels == looks.TEAL).all(axis=-1).mean() > 0.1
        assert not (pixels == COLOURS["black"]).all(axis=-1).any()
