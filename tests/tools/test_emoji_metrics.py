"""The metric knows right drawings from wrong ones."""

import itertools

import numpy as np
import pytest
from emoji import compose, metrics
from emoji.words import COLOURS, SHAPES
from made_up import made_up_glyph
from scipy import ndimage

COUNT = 60


@pytest.fixture(scope="module")
def glyphs() -> np.ndarray:
    made = [compose.on_background(made_up_glyph(seed), "white") for seed in range(COUNT)]
    return np.stack(made)


@pytest.fixture(scope="module")
def gallery(glyphs: np.ndarray) -> metrics.Gallery:
    return metrics.Gallery.of([str(i) for i in range(COUNT)], glyphs)


def spoilt(kind: str, images: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng(0)
    if kind == "blurred":
        return ndimage.gaussian_filter(images, (0, 3, 3, 0))
    if kind == "noisy":
        return (images + rng.normal(0, 60, images.shape)).clip(0, 255).astype(np.uint8)
    if kind == "shifted":
        return np.roll(images, 4, axis=2)
    if kind == "faded":
        return (128 + 0.6 * (images.astype(float) - 128)).astype(np.uint8)
    return images


@pytest.mark.parametrize("kind", ["true", "blurred", "noisy", "shifted", "faded"])
def test_right_glyphs_are_found(gallery, glyphs, kind):
    ranks = gallery.ranks(spoilt(kind, glyphs), gallery.labels)
    assert metrics.top(ranks, 1) >= 0.98


def test_wrong_glyphs_are_not(gallery, glyphs):
    wanted = np.roll(gallery.labels, 1).tolist()
    ranks = gallery.ranks(glyphs, wanted)
    assert metrics.top(ranks, 1) == 0
    # The wanted one is as good as any other: about half of the gallery is nearer.
    assert 0.3 < np.median(ranks) / COUNT < 0.7


def test_noise_is_near_chance_and_an_empty_picture_is_last(gallery, glyphs):
    noise = np.random.default_rng(0).integers(0, 256, glyphs.shape, np.uint8)
    assert metrics.top(gallery.ranks(noise, gallery.labels), 1) < 0.1
    blank = np.full_like(glyphs, 255)
    assert (gallery.ranks(blank, gallery.labels) == COUNT - 1).all()


def test_ranks_count_the_nearer_ones():
    gallery = metrics.Gallery(["x", "y", "z"], np.zeros((3, 3072), np.float32))
    image = made_up_glyph(0)[None, 4:100, 4:100, :3]
    own = metrics.features(image)[0]
    for i, share in enumerate((0.5, 0.9, 0.2)):
        gallery.features[i] = share * own
    assert [gallery.ranks(image, [name])[0] for name in "xyz"] == [1, 0, 2]
    assert gallery.nearest(image) == ["y"]


def test_features_are_unit_vectors_without_mean(glyphs):
    rows = metrics.features(glyphs[:4])
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(rows.mean(1), 0, atol=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
def test_colours_are_read_from_every_pair(shape):
    rgba = compose.shape(shape)
    for colour, ground in itertools.permutations(COLOURS, 2):
        image = compose.on_background(compose.tinted(rgba, colour), ground)
        assert (metrics.drawn_colour(image), metrics.background_colour(image)) == (colour, ground)


def test_wrong_colours_are_rejected():
    circle = compose.shape("circle")
    image = compose.on_background(compose.tinted(circle, "red"), "blue")
    asked = itertools.product([None, *COLOURS], COLOURS)
    right = [pair for pair in asked if metrics.has_colours(image, *pair)]
    assert right == [(None, "blue"), ("red", "blue")]


def test_neither_an_empty_picture_nor_noise_nor_another_colour_passes():
    blank = np.full((128, 128, 3), 255, np.uint8)
    noise = np.random.default_rng(0).integers(0, 256, blank.shape, np.uint8)
    cyan = np.full_like(blank, (0, 255, 255))
    assert metrics.background_colour(blank) == "white"
    assert metrics.drawn_colour(blank) is None
    assert metrics.background_colour(noise) is None
    assert metrics.background_colour(cyan) is None


@pytest.mark.parametrize("layout", compose.SLOTS)
def test_layouts_are_told_apart(layout):
    small = [made_up_glyph(seed)[::2, ::2] for seed in (1, 2)]
    alike = compose.arranged(small[:1], layout)
    fitting = [other for other in compose.SLOTS if metrics.has_layout(alike, other)]
    same = [name for name, slots in compose.SLOTS.items() if slots == compose.SLOTS[layout]]
    assert fitting == same
    if layout in ("two", "to the left of", "above"):
        unlike = compose.arranged(small, layout)
        assert metrics.has_layout(unlike, layout) == (layout != "two")
    found = metrics.slots(alike, layout)
    expected = compose.on_background(made_up_glyph(1), "white")
    likeness = metrics.features(found) @ metrics.features(expected[None]).T
    assert likeness.min() > 0.9


def test_one_large_drawing_is_not_several_small_ones(glyphs):
    right = [[metrics.has_layout(glyph, n) for n in ("two", "three", "four")] for glyph in glyphs]
    assert not np.any(right)


def test_psnr():
    images = np.full((2, 8, 8, 3), 100, np.uint8)
    others = images.copy()
    others[0] += 1
    others[1] += 10
    expected = (20 * np.log10(255) + 20 * np.log10(25.5)) / 2
    assert metrics.psnr(images, others) == pytest.approx(expected)
