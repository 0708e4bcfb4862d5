"""Several pictures in one."""

import numpy as np
import pytest

from jaxsd.images import GAP, contact_sheet


@pytest.mark.parametrize(
    ("count", "columns", "grid"), [(1, None, (1, 1)), (5, None, (2, 3)), (5, 4, (2, 4))]
)
def test_a_contact_sheet_holds_every_picture_in_order(count, columns, grid):
    images = np.arange(count, dtype=np.uint8)[:, None, None, None] * np.ones(
        (1, 6, 10, 3), np.uint8
    )
    sheet = contact_sheet(images, columns)
    assert sheet.shape == (grid[0] * (6 + GAP) + GAP, grid[1] * (10 + GAP) + GAP, 3)
    centres = sheet[GAP + 3 :: 6 + GAP, GAP + 5 :: 10 + GAP, 0].ravel()
    assert centres.tolist() == [*range(count), *[255] * (grid[0] * grid[1] - count)]
