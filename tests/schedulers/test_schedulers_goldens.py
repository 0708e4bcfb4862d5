"""Agreement with diffusers without diffusers: tools/record_scheduler_goldens.py recorded it."""

from pathlib import Path

import numpy as np
import pytest
from slow_loop import relative_error, run_table

from jaxsd.config import ScheduleConfig
from jaxsd.schedulers import SAMPLERS, NoiseSchedule, build

GOLDENS = np.load(Path(__file__).parents[1] / "goldens" / "schedulers.npz")
CASES = [key for key in GOLDENS if key not in ("x", "noises", "versions")]
WITHOUT_A_CLASS = {"dpm++_sde", "dpm++_2s_a", "dpm++_3m_sde", "ipndm", "restart", "er_sde",
                   "res_multistep", "gradient_estimation", "bdia"}  # fmt: skip
"""diffusers has none of the same formula without torchsde; test_newer_samplers.py has a loop."""
SCHEDULE = NoiseSchedule.from_config(ScheduleConfig())


def test_every_sampler_is_recorded():
    assert {key.split(" ")[0] for key in CASES} == set(SAMPLERS) - WITHOUT_A_CLASS
    assert str(GOLDENS["versions"]).startswith("diffusers 0.42.1")


@pytest.mark.parametrize("case", CASES)
def test_recorded_result(case):
    """1e-5: the float32 in which diffusers computed, over up to 20 steps."""
    name, prediction, steps, sigmas = case.split(" ")
    table = build(name, SCHEDULE, int(steps), prediction, **({"sigmas": sigmas} if sigmas else {}))
    got = run_table(table, GOLDENS["x"], GOLDENS["noises"])
    assert relative_error(got, GOLDENS[case]) <= 1e-5
