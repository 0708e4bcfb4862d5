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
      seen: rows [..., *shape] -> the numbers that are scored, [..., T, K] in `unit`.
      continued: (rows, hidden, members, generator) -> how the simulator goes on from what is known,
        [members, N, *shape].
      unit: of what is scored.
      title: of its picture.
    """

    simulate: Callable[[int, np.random.Generator], tuple[np.ndarray, Hidden]]
    known: int
    times: int
    time_axis: int
    seen: Callable[[np.ndarray], np.ndarray]
    continued: Callable[[np.ndarray, Hidden, int, np.random.Generator], np.ndarray]
    unit: str
    title: str

    @property
    def mask(self) -> np.ndarray:
        """What is known of a row, bool; it is broadcast to the shape of a row."""
        past = np.arange(self.times) < self.known
        return past[:, None] if self.time_axis == 1 else past
