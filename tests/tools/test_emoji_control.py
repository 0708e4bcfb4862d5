"""Agreement with edges knows a model that obeys from one that does not."""

import numpy as np
import pytest
from emoji import metrics
from emoji.control import edge_questions, score_edges

from jaxsd.hints import canny


def square(corner, side=40, colour=(200, 30, 30)):
    image = np.full((128, 128, 3), 255, np.uint8)
    image[corner : corner + side, corner : corner + side] = colour
    return image


def test_a_drawing_agrees_with_its_own_edges_and_with_no_other():
    hint = canny(square(20))
    assert metrics.edge_agreement(square(20), hint) == 1
    assert metrics.edge_agreement(square(20, colour=(0, 0, 90)), hint) == 1
    assert metrics.edge_agreement(square(21), hint) == 1  # one pixel to the side and down
    assert metrics.edge_agreement(square(24), hint) < 0.1
    assert metrics.edge_agreement(square(70), hint) == 0


def test_both_what_is_missing_and_what_is_too_much_count():
    one, two = square(20), np.minimum(square(10, 30), square(80, 30))
    half = metrics.edge_agreement(square(10, 30), canny(two))
    # All of the drawing is right, half of the hint is drawn: 2 * 1 * .5 / 1.5.
    assert half == pytest.approx(2 / 3, abs=0.01)
    assert metrics.edge_agreement(two, canny(square(10, 30))) == pytest.approx(half, abs=0.01)
    blank = np.full_like(one, 255)
    assert metrics.edge_agreement(blank, canny(one)) == 0
    assert metrics.edge_agreement(one, canny(blank)) == 0
    assert metrics.edge_agreement(blank, canny(blank)) == 1


def test_noise_does_not_agree():
    noise = np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8)
    assert metrics.edge_agreement(noise, canny(square(20))) < 0.2


@pytest.fixture(scope="module")
def questions(emoji_dataset):
    return edge_questions(emoji_dataset, 5)


def test_questions_are_of_pictures_that_were_not_trained_on(questions, emoji_dataset):
    in_place, moved, strange = questions
    assert all(row.path.parent.name == "heldout" for row in in_place.rows)
    assert moved.rows == in_place.rows
    differs = [(a != b).any() for a, b in zip(moved.images, in_place.images, strict=True)]
    assert all(differs)
    assert all(row.path.parent.name == "gallery" for row in strange.rows)
    again = edge_questions(emoji_dataset, 5)
    for one, other in zip(questions, again, strict=True):
        assert one.rows == other.rows
        np.testing.assert_array_equal(one.images, other.images)


def test_one_that_obeys_has_full_marks_and_one_that_does_not_has_few(questions):
    calls = []

    def control(prompts, seeds, hints):
        calls.append((tuple(prompts), tuple(seeds), hints is None))
        if hints is None:
            return np.full((len(prompts), 128, 128, 3), 255, np.uint8)
        images = next(q.images for q in questions if (canny(q.images[0]) == hints[0]).all())
        return images[: len(prompts)]

    scores = {score.question: score.share for score in score_edges(control, questions)}
    for name in ("edges, in place", "edges, moved"):
        assert scores[f"{name}: agreement with the hint"] == 1
        assert scores[f"{name}: agreement without it"] == 0
        assert scores[f"{name}: background"] == 1
    # With and without the hint the prompts and the seeds are the same.
    assert calls[::2] == [(*call[:2], False) for call in calls[1::2]]
