"""Columns of guidance: what each branch weighs, and which rows leave a branch out."""

import numpy as np
import pytest

from jaxsd.schedulers.guidance import (
    Run,
    classifier_free,
    composed,
    guided_rows,
    live,
    refreshed_rows,
    runs,
    together,
    unguided,
)


@pytest.mark.parametrize(
    ("interval", "rows"), [((0, 1), (0, 10)), ((0.2, 0.8), (2, 8)), ((0.5, 0.5), (5, 5))]
)
def test_guided_rows(interval: tuple[float, float], rows: tuple[int, int]) -> None:
    assert guided_rows(interval, 10) == rows


@pytest.mark.parametrize("interval", [(0.5, 0.4), (-0.1, 1), (0, 1.1), (float("nan"), 1), (0.5,)])
def test_an_interval_lies_within_0_and_1(interval: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="is not \\(FROM, TO\\)"):
        guided_rows(interval, 10)


def test_rows_outside_of_the_interval_run_the_prompt_alone() -> None:
    columns = together([classifier_free(7.5, 10, (0.2, 0.8))])
    assert columns.which.shape == (10, 1, 2)
    assert columns.weight[:, 0, 0].tolist() == [1] * 2 + [7.5] * 6 + [1] * 2
    assert runs(columns) == [Run(0, 2, (1,)), Run(2, 8, (0, 1)), Run(8, 10, (1,))]
    alone = live(columns, Run(0, 2, (1,)))
    assert alone.which.tolist() == [[[1]], [[1]]]
    assert alone.weight.shape == (2, 1, 0)


def test_a_branch_lives_while_any_image_needs_it() -> None:
    columns = together([classifier_free(scale, 4) for scale in (1.0, 3.0)])
    assert runs(columns) == [Run(0, 4, (0, 1))]
    assert runs(together([classifier_free(1.0, 4)] * 2)) == [Run(0, 4, (1,))]
    assert runs(together([unguided(4)])) == [Run(0, 4, (0,))]


def test_weights_of_live_branches_still_add_up() -> None:
    """With branch 0 dead, the first live branch takes what the others leave."""
    rng = np.random.default_rng(0)
    outputs = rng.normal(size=(3, 5))
    which = np.tile(np.arange(3, dtype=np.int32), (1, 1, 1))
    weight = np.array([[[0.25, 0.75]]])
    whole = outputs[0] + sum(weight[0, 0, k] * (outputs[k + 1] - outputs[0]) for k in range(2))
    columns = live(type(together([unguided(1)]))(which, weight), Run(0, 1, (1, 2)))
    first, second = outputs[columns.which[0, 0]]
    np.testing.assert_allclose(first + columns.weight[0, 0, 0] * (second - first), whole)


def test_composed_is_its_formula() -> None:
    """Liu et al. 2022: e(x) + sum_k w_k (e(x | c_k) - e(x)), with a common scale."""
    outputs = np.random.default_rng(0).normal(size=(3, 5))
    which, weight = composed((0.7, -0.2), 4.0, 10, (0.0, 0.5))
    assert which.tolist() == [[0, 1, 2]] * 10
    for row, scale in ((0, 4), (9, 1)):
        got = outputs[0] + sum(weight[row, k] * (outputs[k + 1] - outputs[0]) for k in range(2))
        want = outputs[0] * (1 - 0.5 * scale) + scale * (0.7 * outputs[1] - 0.2 * outputs[2])
        np.testing.assert_allclose(got, want, rtol=1e-6)


def test_fewer_branches_are_filled_up_with_weight_0() -> None:
    both = together([composed((1.0, 0.5), 3.0, 2), classifier_free(2.0, 2)])
    assert both.which[0].tolist() == [[0, 1, 2], [0, 1, 1]]
    assert both.weight[0].tolist() == [[3, 1.5], [2, 0]]
    assert runs(both) == [Run(0, 2, (0, 1, 2))]


@pytest.mark.parametrize(("reuse", "want"), [(1, "11111111"), (3, "10010010"), (20, "10000000")])
def test_every_run_begins_with_a_refresh(reuse: int, want: str) -> None:
    np.testing.assert_array_equal(refreshed_rows(reuse, 8), [letter == "1" for letter in want])
