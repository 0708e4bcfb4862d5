from itertools import pairwise

import numpy as np
import pytest
from scipy import ndimage

from jaxsd.hints import HINTS, as_given, canny, scribble
from jaxsd.settings.options import PREPROCESSORS

SIZE = 64
ANY_NEIGHBOUR = np.ones((3, 3), bool)


def disc(radius, *, inside=(20, 30, 200), outside=(250, 240, 230)):
    """A disc in the middle of a picture, [64, 64, 3] uint8."""
    y, x = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    member = x**2 + y**2 <= radius**2
    return np.where(member[..., None], inside, outside).astype(np.uint8)


def blurred_noise(seed, blur=2.0):
    """A picture with gradients of all strengths and directions, [64, 64, 3] uint8."""
    noise = np.random.default_rng(seed).normal(size=(SIZE, SIZE, 3))
    smooth = ndimage.gaussian_filter(noise, (blur, blur, 0))
    return (127.5 + 60 * smooth / smooth.std()).clip(0, 255).astype(np.uint8)


def lines(hint):
    """[H, W] bool of a hint that has no other values than 0 and 255."""
    assert hint.dtype == np.uint8
    assert set(np.unique(hint)) <= {0, 255}
    assert (hint == hint[..., :1]).all()
    return hint[..., 0] > 0


@pytest.mark.parametrize("radius", [8, 14.3, 25])
def test_edge_of_a_disc_is_one_closed_line_near_its_circle(radius):
    edge = lines(canny(disc(radius)))
    y, x = np.nonzero(edge) - np.array([[(SIZE - 1) / 2]])
    np.testing.assert_allclose(np.hypot(y, x), radius, atol=1.5)  # a pixel, and half its diagonal
    _, count = ndimage.label(edge, ANY_NEIGHBOUR)
    assert count == 1
    _, parts = ndimage.label(~edge)  # by sides: a diagonal line does not leak
    assert parts == 2
    # A line of width 1 that goes from pixel to pixel has between 4*sqrt(2)*r and 2*pi*r pixels.
    assert 4 * 2**0.5 * radius * 0.9 < edge.sum() < 2 * np.pi * radius * 1.1


def test_a_picture_of_one_colour_has_no_edges():
    assert not canny(np.full((9, 7, 3), 200, np.uint8)).any()


def test_a_straight_step_is_one_pixel_wide_and_reaches_the_borders():
    image = np.zeros((10, 12, 3), np.uint8)
    image[:, 5:] = 60
    edge = lines(canny(image))
    # A step of d has |dx| = 4d on both of its sides; of the two the second is kept.
    np.testing.assert_array_equal(np.flatnonzero(edge.all(0)), [4])
    assert edge.sum() == 10


@pytest.mark.parametrize(("step", "found"), [(25, False), (26, False), (50, False), (51, True)])
def test_thresholds_are_of_four_times_a_step(step, found):
    image = np.zeros((8, 8, 3), np.uint8)
    image[:, 4:, 1] = step
    assert canny(image, 100, 200).any() == found


def test_weak_edges_stay_where_they_touch_strong_ones():
    image = np.zeros((20, 20, 3), np.uint8)
    image[:, 10:] = (90 - 3 * np.arange(20))[:, None, None]  # a step that grows weaker downwards
    assert lines(canny(image, 100, 200))[:, 10].all()
    # Four times the step is 90 * 4 above and 33 * 4 below, and 18 are of the gradient downwards.
    assert lines(canny(image, 200, 200))[:12, 10].all()
    assert not canny(image, 200, 200)[16:].any()
    assert not canny(image, 100, 400).any()


@pytest.mark.parametrize("seed", range(4))
def test_higher_thresholds_leave_a_part_of_the_edges(seed):
    image = blurred_noise(seed)
    pairs = [(50, 100), (50, 200), (100, 200), (200, 200), (200, 400)]
    found = [lines(canny(image, *pair)) for pair in pairs]
    for more, less in pairwise(found):
        assert (less <= more).all()
    assert found[0].sum() > found[-1].sum() > 0


def test_thresholds_may_change_places():
    image = blurred_noise(5)
    np.testing.assert_array_equal(canny(image, 200, 100), canny(image, 100, 200))


def test_a_turned_picture_has_turned_edges():
    # Of two equally strong neighbours the second is kept, so ties fall otherwise when turned.
    image = blurred_noise(6)
    edge, turned = lines(canny(image)), lines(canny(np.rot90(image)))
    assert (np.rot90(edge) != turned).mean() < 0.02 * edge.mean()


def test_the_channel_with_the_strongest_gradient_decides():
    image = np.zeros((8, 8, 3), np.uint8)
    image[:, 4:, 2] = 255
    image[:, 4:, 0] = 10
    grey = np.repeat(image[..., 2:], 3, -1)
    np.testing.assert_array_equal(canny(image), canny(grey))


def slow_canny(image, low, high):
    """The same from the description, pixel by pixel."""
    height, width, _ = image.shape

    def pixel(y, x, c):
        return int(image[min(max(y, 0), height - 1), min(max(x, 0), width - 1), c])

    def gradient(y, x):
        best = (-1, 0, 0)
        for c in range(3):
            dx = sum(w * (pixel(y + k, x + 1, c) - pixel(y + k, x - 1, c)) for k, w in WEIGHTS)
            dy = sum(w * (pixel(y + 1, x + k, c) - pixel(y - 1, x + k, c)) for k, w in WEIGHTS)
            best = max(best, (abs(dx) + abs(dy), dx, dy), key=lambda found: found[0])
        return best

    found = {(y, x): gradient(y, x) for y in range(height) for x in range(width)}

    def strength(y, x):
        return found.get((y, x), (0,))[0]

    def is_ridge(y, x):
        m, dx, dy = found[y, x]
        angle = np.degrees(np.arctan2(abs(dy), abs(dx)))
        if angle < 22.5:
            return m > strength(y, x - 1) and m >= strength(y, x + 1)
        if angle > 67.5:
            return m > strength(y - 1, x) and m >= strength(y + 1, x)
        side = 1 if (dx >= 0) == (dy >= 0) else -1
        return m > strength(y - 1, x - side) and m > strength(y + 1, x + side)

    weak = {place for place in found if strength(*place) > low and is_ridge(*place)}
    front = [place for place in weak if strength(*place) > high]
    kept = set(front)
    while front:
        y, x = front.pop()
        around = {(y + i, x + j) for i in (-1, 0, 1) for j in (-1, 0, 1)} & weak - kept
        kept |= around
        front += around
    edge = np.zeros((height, width), bool)
    edge[tuple(zip(*kept, strict=True))] = True
    return edge


WEIGHTS = ((-1, 1), (0, 2), (1, 1))


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_a_slow_loop(seed):
    image = blurred_noise(seed)[:24, :31]
    np.testing.assert_array_equal(lines(canny(image, 60, 150)), slow_canny(image, 60, 150))


@pytest.mark.parity
@pytest.mark.parametrize("thresholds", [(100, 200), (50, 300), (200, 100), (99.5, 100.5)])
@pytest.mark.parametrize("blur", [0.0, 0.7, 2.0])
def test_is_opencvs(blur, thresholds):
    cv2 = pytest.importorskip("cv2")
    for seed in range(10):
        image = blurred_noise(seed, blur)[: 40 + seed]
        theirs = cv2.Canny(np.ascontiguousarray(image), *thresholds) > 0
        np.testing.assert_array_equal(lines(canny(image, *thresholds)), theirs)


def sketch(*, paper, ink):
    image = np.full((16, 16, 3), paper, np.uint8)
    image[4, 2:14] = ink
    image[4:12, 7] = ink
    return image


@pytest.mark.parametrize(
    "colours",
    [
        {"paper": 255, "ink": 0},
        {"paper": (250, 245, 230), "ink": (200, 30, 40)},
        {"paper": 0, "ink": 255},
        {"paper": 20, "ink": (30, 40, 220)},
    ],
    ids=str,
)
def test_a_sketch_is_white_on_black_whatever_its_colours(colours):
    expected = lines(sketch(paper=0, ink=255))
    np.testing.assert_array_equal(lines(scribble(sketch(**colours))), expected)


def test_a_scribble_of_a_scribble_is_the_same():
    hint = scribble(sketch(paper=255, ink=0))
    np.testing.assert_array_equal(scribble(hint), hint)


def test_other_hints_stay_as_they_are():
    image = blurred_noise(0)
    assert as_given(image) is image


@pytest.mark.parametrize("name", HINTS)
def test_every_hint_has_the_size_of_its_picture_and_leaves_it_alone(name):
    image = blurred_noise(1)[:40]
    before = image.copy()
    hint = HINTS[name](image)
    assert (hint.shape, hint.dtype) == (image.shape, np.uint8)
    np.testing.assert_array_equal(image, before)


def test_every_hint_is_a_choice_of_the_option() -> None:
    assert set(PREPROCESSORS) == set(HINTS)
