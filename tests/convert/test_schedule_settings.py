"""scheduler_config.json: known classes and settings are read, all others refused by name."""

import json
from typing import Any

import pytest

from jaxsd.config import ScheduleConfig
from jaxsd.convert.diffusers.schedule_settings import schedule_config
from jaxsd.convert.original.spec_json import from_json, to_json
from jaxsd.families import SD1

SD = {
    "_class_name": "EulerDiscreteScheduler",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "steps_offset": 1,
}


def complaint(**settings: Any) -> str:
    with pytest.raises(ValueError, match="scheduler_config") as caught:
        schedule_config(SD | settings, "scheduler_config.json")
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    "name",
    [
        "FlowMatchEulerDiscreteScheduler",
        "IPNDMScheduler",
        "MyScheduler",
        None,
        ["EulerDiscreteScheduler"],
    ],
)
def test_another_class_is_refused_by_name(name: Any) -> None:
    message = complaint(_class_name=name)
    assert f"the scheduler {name!r} is not supported, only DDIMScheduler, " in message
    assert "EulerDiscreteScheduler" in message


@pytest.mark.parametrize(
    ("setting", "value", "why"),
    [
        ("a_setting_of_tomorrow", 3, "is not known here"),
        ("beta_end", "0.012", "should be a number"),
        ("beta_start", 0.0, "above 0 and below 1"),
        ("beta_start", float("nan"), "above 0 and below 1"),
        ("interpolation_type", "log_linear", "only 'linear'"),
        ("lambda_min_clipped", -5.1, "only -inf"),
        ("steps_offset", 0.5, "should be a whole number"),
        ("num_train_timesteps", 1000.0, "positive whole number"),
        ("original_inference_steps", 100, "only 50"),
        ("prediction_type", ["epsilon"], "is not one of epsilon, v_prediction, sample"),
        ("prediction_type", "flow_prediction", "is not one of epsilon, v_prediction, sample"),
        ("rescale_betas_zero_snr", "true", "true or false"),
        ("set_alpha_to_one", 1, "true or false"),
        ("sigma_max", 700.0, "only None"),
        ("steps_offset", -1, "0 to 999"),
        ("steps_offset", 1000, "0 to 999"),
        ("thresholding", True, "only False"),
        ("timestep_scaling", 1.0, "only 10.0"),
        ("timestep_type", "continuous", "only 'discrete'"),
        ("use_flow_sigmas", True, "only False"),
        ("use_dynamic_shifting", True, "only False"),
        ("variance_type", "learned_range", "is not one of"),
    ],
)
def test_a_setting_that_changes_the_noise_is_refused(setting: str, value: Any, why: str) -> None:
    message = complaint(**{setting: value})
    assert f"{setting} = {value!r}" in message
    assert why in message


def test_a_number_that_makes_no_schedule_is_refused_wherever_it_stands() -> None:
    """Also where a file written here says it, and before anything of that size is made."""
    assert "num_train_timesteps = 10000000000 should be 1 to 100000" in complaint(
        num_train_timesteps=10**10
    )
    table = json.loads(to_json(SD1))
    table["schedule"]["train_steps"] = 10**10
    with pytest.raises(ValueError, match="train_steps = 10000000000 should be 1 to 100000"):
        from_json(json.dumps(table))


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"sigma_max": 0.001}, "sigma_min = 0.002 and sigma_max = 0.001 should be rising"),
        ({"sigma_data": 0}, "sigma_data = 0 should be a number above 0"),
        ({"sigma_schedule": "beta"}, "sigma_schedule = 'beta' is not one of karras, exponential"),
        ({"rho": 5}, "rho = 5 is not supported, only 7.0"),
        ({"prediction_type": "sample"}, "is not one of epsilon, v_prediction"),
        ({"beta_start": 0.1}, "beta_start = 0.1 is not known here"),
        ({"num_train_timesteps": 10**9}, "num_train_timesteps = 1000000000 should be 1 to 100000"),
    ],
)
def test_continuous_noise_that_is_none(settings: dict[str, Any], why: str) -> None:
    table = {"_class_name": "EDMEulerScheduler"} | settings
    with pytest.raises(ValueError, match="scheduler_config") as caught:
        schedule_config(table, "scheduler_config.json")
    assert why in str(caught.value)


def test_how_a_class_steps_is_no_matter() -> None:
    more = {
        "algorithm_type": "sde-dpmsolver++",
        "clip_sample": True,
        "final_sigmas_type": "sigma_min",
        "skip_prk_steps": True,
        "solver_order": 3,
        "use_karras_sigmas": True,
        "variance_type": "fixed_large",
    }
    assert schedule_config(SD | more, "") == (ScheduleConfig(), "epsilon")


@pytest.mark.parametrize(
    ("settings", "spacing"),
    [
        ({}, None),
        ({"rescale_betas_zero_snr": True}, "trailing"),
        ({"rescale_betas_zero_snr": True, "timestep_spacing": "leading"}, "leading"),
        ({"timestep_spacing": "linspace"}, "linspace"),
    ],
)
def test_zero_terminal_snr_asks_for_trailing_where_nothing_is_said(
    settings: dict[str, Any], spacing: str | None
) -> None:
    schedule, _ = schedule_config(SD | settings, "")
    assert schedule.spacing == spacing
