"""Noise schedules, grids and samplers as tables: host arithmetic, NumPy only.

tableau = build("dpm++_2m", NoiseSchedule.from_config(spec.schedule), 20, "epsilon")
"""

from jaxsd.schedulers.grid import Grid
from jaxsd.schedulers.noise import NoiseSchedule
from jaxsd.schedulers.plans import guided_rows, renewed_rows
from jaxsd.schedulers.samplers import SAMPLERS, Sampler, build
from jaxsd.schedulers.tableau import Tableau, check, check_point_mass, padded

__all__ = [
    "SAMPLERS",
    "Grid",
    "NoiseSchedule",
    "Sampler",
    "Tableau",
    "build",
    "check",
    "check_point_mass",
    "guided_rows",
    "padded",
    "renewed_rows",
]
