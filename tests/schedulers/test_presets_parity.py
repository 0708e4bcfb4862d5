"""Presets of distilled models against diffusers' schedulers with the makers' settings."""

from typing import Any

import numpy as np
import pytest
from slow_loop import relative_error, run_table
from tiny_models import TINY

from jaxsd.settings import checked, settings_from, tableau_of

runs = pytest.importorskip("diffusers_runs")  # without diffusers, skips
pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

rng = np.random.default_rng(0)
X, NOISES = rng.standard_normal((2, 4, 3, 3)), rng.standard_normal((100, 2, 4, 3, 3))
_TRAILING = {"timestep_spacing": "trailing"}


@pytest.mark.parametrize(
    ("preset", "steps", "sampler", "settings", "told", "step"),
    [
        ("turbo", 1, "euler_a", _TRAILING, {}, {}),
        ("turbo", 4, "euler_a", _TRAILING, {}, {}),
        ("lcm", 4, "lcm", {}, {}, {}),
        ("tcd", 4, "tcd", {}, {}, {"eta": 0.3}),
        ("lightning", 2, "euler", _TRAILING, {}, {}),
        ("lightning", 8, "euler", _TRAILING, {}, {}),
        ("hyper-sd", 2, "ddim", _TRAILING, {}, {}),
        ("hyper-sd-cfg", 8, "ddim", _TRAILING, {}, {}),
        ("hyper-sd-1-step", 1, "tcd", {}, {}, {"eta": 1.0}),
        ("dmd2", 4, "lcm", {}, {"timesteps": [999, 749, 499, 249]}, {}),
    ],
)
def test_as_the_makers_draw(
    preset: str, steps: int, sampler: str, settings: Any, told: Any, step: Any
) -> None:
    reference = runs.scheduler(sampler, "epsilon", **settings)
    reference.set_timesteps(**told or {"num_inference_steps": steps})
    want = runs.run_scheduler(reference, X, NOISES, **step)
    spec = TINY["sdxl"]
    one = checked(settings_from({"preset": preset, "steps": steps}), spec)
    assert one.sampler == sampler
    assert relative_error(run_table(tableau_of(one, spec), X, NOISES), want) <= 1e-5
