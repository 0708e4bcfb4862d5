"""Noise schedules, grids and samplers as tables: host arithmetic, NumPy only.

tableau = build("dpm++_2m", NoiseSchedule.from_config(spec.schedule), 20, "epsilon")
"""

from jaxsd.schedulers.grid import Grid
from jaxsd.schedulers.inversion import inverted, there_and_back, trace_weights
from jaxsd.schedulers.learnt import Learnt, as_learnt, is_learnt, steps_in, write_learnt
from jaxsd.schedulers.noise import NoiseSchedule
from jaxsd.schedulers.samplers import SAMPLERS, Sampler, build, options_of
from jaxsd.schedulers.tableau import (
    HISTORY,
    SAMPLES,
    Tableau,
    check,
    check_point_mass,
    padded,
)

__all__ = [
    "HISTORY",
    "SAMPLERS",
    "SAMPLES",
    "Grid",
    "Learnt",
    "NoiseSchedule",
    "Sampler",
    "Tableau",
    "as_learnt",
    "build",
    "check",
    "check_point_mass",
    "inverted",
    "is_learnt",
    "options_of",
    "padded",
    "steps_in",
    "there_and_back",
    "trace_weights",
    "write_learnt",
]
