"""What is not computed in some rows of a table, known before the loop."""

import math

import numpy as np


def guided_rows(interval: tuple[float, ...], count: int) -> tuple[int, int]:
    """The rows (first, end) of so many that a guidance interval covers.

    Raises:
      ValueError: not two numbers in order within 0 to 1.
    """
    first, end = interval if len(interval) == 2 else (math.nan, math.nan)
    if not 0 <= first <= end <= 1:
        raise ValueError(
            f"guidance_interval {interval} is not (FROM, TO) with 0 <= FROM <= TO <= 1"
        )
    return round(first * count), round(end * count)


def renewed_rows(reuse: int, guided: tuple[int, int], count: int) -> np.ndarray | None:
    """The rows of so many that make deep features anew, [S] bool: every `reuse`-th.

    Those with guidance count from the first of them, and so do those after the last, since features
    of a batch with negatives are of no use to one without.

    Args:
      reuse: rows that share deep features; 1 is none.
      guided: of `guided_rows`.
      count: rows.

    Returns:
      None where all rows do, which need no plan.

    Raises:
      ValueError: not a whole number above 0.
    """
    if isinstance(reuse, bool) or not isinstance(reuse, int | np.integer) or reuse < 1:
        raise ValueError(
            f"reuse {reuse!r} is not a whole number of at least 1, which computes every step whole"
        )
    numbers = np.arange(count)
    begins = np.max([np.where(numbers >= first, first, 0) for first in guided], axis=0)
    anew = (numbers - begins) % reuse == 0
    return None if anew.all() else anew
