import numpy as np
import pytest
from simulate_serving import CURVES, alone, arrivals, continuous, most, static, waited

from jaxsd.server.places import places_by


def test_places_double_as_long_as_more_pictures_are_drawn_a_second():
    assert places_by(lambda size: size) == 1
    assert places_by(lambda size: 1.0) == 8
    assert places_by(lambda size: 1.0 if size <= 2 else 2.0 * size) == 2
    assert places_by(CURVES["linear"]) == 1
    assert places_by(CURVES["flat"]) == 8


@pytest.mark.parametrize("name", CURVES)
def test_continuous_batches_are_as_quick_as_the_better_of_both(name):
    cost = CURVES[name]
    capacity = most(continuous, cost)
    assert capacity >= 0.999 * max(most(static, cost), most(alone, cost))
    pictures = arrivals(0.7 * capacity, 3000)
    late = {
        one: np.percentile(waited(one, pictures, cost), 95) for one in (continuous, static, alone)
    }
    assert late[continuous] <= 0.7 * late[static]
    assert late[continuous] <= 1.05 * min(late[static], late[alone])


def test_one_picture_takes_its_own_steps_whatever_the_policy():
    (one,) = arrivals(1.0, 1)
    for policy in (alone, static):
        assert waited(policy, [one], lambda size: 0.5)[0] == pytest.approx(0.5 * one.steps)
    assert waited(continuous, [one], lambda size: 0.5)[0] == pytest.approx(0.5 * one.steps)
