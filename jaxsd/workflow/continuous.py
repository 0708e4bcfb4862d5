"""Models of continuous noise: how timesteps follow from levels, which no table has."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from jaxsd.config import ModelSpec


class Continuous(NamedTuple):
    """Such a model.

    Attributes:
      timestep: what the U-Net is told of levels, noise over signal.
      level: the level of a timestep.
      is_scaled: whether the U-Net has the scales of Karras et al. 2022 (`ScheduleConfig.edm`); else
        those of what it predicts, with data of unit deviation.
    """

    timestep: Callable[[np.ndarray], np.ndarray]
    level: Callable[[np.ndarray], np.ndarray]
    is_scaled: bool = False


LOGARITHM = Continuous(lambda level: np.log(level) / 4, lambda t: np.exp(4 * t))
"""Karras et al. 2022, table 1, c_noise."""
ANGLE = Continuous(lambda level: np.arctan(level) * 2 / np.pi, lambda t: np.tan(t * np.pi / 2))
"""Salimans & Ho 2022, appendix D: the angle from picture to noise, as a share of a right one."""


def continuous_of(spec: ModelSpec) -> Continuous | None:
    """What a checkpoint of continuous noise is; None for others."""
    return None if spec.schedule.edm is None else LOGARITHM._replace(is_scaled=True)
