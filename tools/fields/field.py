"""What a field is."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

Hidden = dict[str, np.ndarray]
"""What a simulation drew beside its rows, [N, ...] by name."""


class Field(NamedTuple):
    """A field with a simulator.

    Attributes:
      simulate: (count, generator) -> rows [N, *shape] float32, and what is hidden.
      known: how many times are known.
      times: of a row.
      time_axis: of the rows, as `arrays.time_axis` counts.
      allowed: rows [..., *shape] -> the nearest that the field can have.
      seen: allowed rows -> the numbers that are scored, [..., T, K] in `unit`.
      continued: (rows, hidden, members, generator) -> how the simulator goes on from what is known,
        [members, N, *shape].
      unit: of what is scored.
      title: of its picture.
      changes: whether a number of a row is a change since the time before.
    """

    simulate: Callable[[int, np.random.Generator], tuple[np.ndarray, Hidden]]
    known: int
    times: int
    time_axis: int
    allowed: Callable[[np.ndarray], np.ndarray]
    seen: Callable[[np.ndarray], np.ndarray]
    continued: Callable[[np.ndarray, Hidden, int, np.random.Generator], np.ndarray]
    unit: str
    title: str
    changes: bool = False
