"""Pairs of pictures, from the best and the worst inwards."""

import numpy as np
from build_preferences import pairs


def test_the_best_is_preferred_to_the_worst() -> None:
    assert pairs(np.array([3.0, 1.0, 2.0, 5.0, 4.0])) == [(3, 1), (4, 2)]
    assert pairs(np.array([1.0, 1.0])) == [(0, 1)]
