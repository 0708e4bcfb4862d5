"""Which rows are guided, and which make deep features."""

import numpy as np
import pytest

from jaxsd.schedulers import guided_rows, renewed_rows


@pytest.mark.parametrize(
    ("interval", "rows"), [((0, 1), (0, 10)), ((0.2, 0.8), (2, 8)), ((0.5, 0.5), (5, 5))]
)
def test_guided_rows(interval: tuple[float, float], rows: tuple[int, int]) -> None:
    assert guided_rows(interval, 10) == rows


@pytest.mark.parametrize(
    ("reuse", "guided", "want"),
    [
        (3, (0, 8), "10010010"),
        (3, (0, 0), "10010010"),
        (20, (0, 8), "10000000"),
        (3, (2, 6), "10100110"),
        (2, (1, 8), "11010101"),
    ],
)
def test_every_kind_of_rows_begins_anew(reuse: int, guided: tuple[int, int], want: str) -> None:
    plan = renewed_rows(reuse, guided, 8)
    np.testing.assert_array_equal(plan, [letter == "1" for letter in want])


def test_no_plan_where_every_row_is_whole() -> None:
    assert renewed_rows(1, (0, 8), 8) is None
    assert renewed_rows(3, (0, 1), 1) is None
    assert renewed_rows(3, (1, 2), 3) is None
