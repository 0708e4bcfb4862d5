"""Facts of single pictures, and of many."""

from dataclasses import replace

import numpy as np
import pytest

from jaxsd.score.facts import MEASURES, Unreadable, fact_of, measures_of
from jaxsd.score.report import clip_numbers, distances, plain_numbers, spread, table
from jaxsd.score.statistics import FeatureSums, Statistics

RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 256, (6, 8, 3), np.uint8)


def of_colour(*colour: int) -> np.ndarray:
    return np.full((4, 4, 3), colour, np.uint8)


def measured(image: np.ndarray) -> dict[str, float]:
    return dict(zip(MEASURES, measures_of(image), strict=True))


def test_grey_has_no_colour_and_no_contrast() -> None:
    found = measured(of_colour(51, 51, 51))
    want = {"brightness": 0.2, "contrast": 0, "colourfulness": 0, "red": 0.2, "green": 0.2}
    for name, value in want.items():
        assert found[name] == pytest.approx(value, abs=1e-6)


def test_colours_are_told_apart() -> None:
    found = measured(of_colour(255, 0, 0))
    assert (found["red"], found["green"], found["blue"]) == (1, 0, 0)
    assert found["brightness"] == pytest.approx(0.299)
    # Red less green is 255, yellow less blue 127.5, and neither varies.
    assert found["colourfulness"] == pytest.approx(0.3 * np.hypot(255, 127.5))
    # Of noise, from its pixels one by one.
    red, green, blue = NOISE.reshape(-1, 3).astype(float).T
    luma, pairs = (
        0.299 * red + 0.587 * green + 0.114 * blue,
        (red - green, (red + green) / 2 - blue),
    )
    want = np.hypot(*map(np.std, pairs)) + 0.3 * np.hypot(*map(np.mean, pairs))
    assert measured(NOISE)["colourfulness"] == pytest.approx(want)
    assert measured(NOISE)["contrast"] == pytest.approx(luma.std() / 255)
    half = np.concatenate([of_colour(0, 0, 0), of_colour(255, 255, 255)])
    assert measured(half)["contrast"] == pytest.approx(0.5)
    assert measured(half)["colourfulness"] == pytest.approx(0, abs=1e-4)


def test_a_digest_is_of_pixels_and_size() -> None:
    digest = fact_of("a", NOISE).digest
    assert fact_of("b", NOISE.copy()).digest == digest
    assert fact_of("a", NOISE.reshape(8, 6, 3)).digest != digest
    changed = NOISE.copy()
    changed[0, 0, 0] ^= 1
    assert fact_of("a", changed).digest != digest


def test_copies_blanks_sizes_and_what_can_not_be_read() -> None:
    facts = [
        fact_of("a", NOISE),
        Unreadable("b", "broken"),
        fact_of("c", of_colour(1, 2, 3)),
        fact_of("d", NOISE),
    ]
    found = plain_numbers(facts)
    assert found["pictures"] == 3
    assert found["duplicates"] == [["a", "d"]]
    assert found["blank"] == ["c"]
    assert found["sizes"] == {"8x6": 2, "4x4": 1}
    assert found["unreadable"] == [{"name": "b", "error": "broken"}]
    lines = table(found)
    assert "sizes         2 of 8x6, 1 of 4x4" in lines
    assert "duplicates    a = d" in lines
    assert "unreadable    b (broken)" in lines


def test_nothing_readable_is_no_error() -> None:
    found = plain_numbers([Unreadable(f"{i}.png", "broken") for i in range(9)])
    assert (found["pictures"], found["measures"]["brightness"]) == (0, {})
    assert any(line.endswith("and 4 more") for line in table(found))


def test_spread_and_clip_scores() -> None:
    assert spread([1.0, 3.0]) == {"mean": 2, "std": 1, "min": 1, "max": 3}
    found = clip_numbers({"a": 0.25, "b": -0.5, "c": 0.35})
    assert found["mean"] == pytest.approx(20)  # a negative cosine counts as 0
    assert list(found["lowest"]) == ["b", "a", "c"]
    assert clip_numbers({}) == {"pictures": 0, "lowest": {}}


def statistics_of(seed: int) -> Statistics:
    sums = FeatureSums()
    sums.add(np.arange(9, dtype=np.uint64), np.random.default_rng(seed).normal(size=(9, 4)))
    return sums.statistics("weights")


def test_a_reference_may_lack_features_but_not_be_of_other_weights() -> None:
    own, reference = statistics_of(0), statistics_of(1)
    found = distances(own, reference)
    assert found["fid"] > 0.1
    assert found["reference_pictures"] == 9
    assert distances(own, own)["fid"] == pytest.approx(0, abs=1e-12)
    foreign = replace(reference, features=None, weights="", count=0)
    assert distances(own, foreign) == {"fid": found["fid"], "reference_pictures": 0}
    with pytest.raises(ValueError, match="weights other, not of weights, which"):
        distances(own, replace(reference, weights="other"))
    lines = table(plain_numbers([fact_of("a", NOISE)]) | distances(own, foreign))
    assert any(line.startswith("KID           needs features") for line in lines)
