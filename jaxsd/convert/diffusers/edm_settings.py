"""scheduler_config.json of the two classes with continuous noise, read and written."""

from typing import Any

from jaxsd.config import EDMConfig, ModelSpec, ScheduleConfig
from jaxsd.convert.diffusers.fields import Fields
from jaxsd.types import Prediction

EDM_CLASSES = ("EDMEulerScheduler", "EDMDPMSolverMultistepScheduler")

_PREDICTIONS: dict[str, Prediction] = {"epsilon": "epsilon", "v_prediction": "v"}
_NAMES = {ours: theirs for theirs, ours in _PREDICTIONS.items()}
_WANTED: dict[str, Any] = {"rho": 7.0, "thresholding": False}
_OF_A_SAMPLER = {
    "algorithm_type",
    "dynamic_thresholding_ratio",
    "euler_at_final",
    "final_sigmas_type",
    "lower_order_final",
    "sample_max_value",
    "solver_order",
    "solver_type",
}
"""How a class steps; here the user names the sampler."""


def edm_schedule(fields: Fields) -> tuple[ScheduleConfig, Prediction]:
    """The noise schedule and the prediction.

    Raises:
      ValueError: naming a setting that is not known here.
    """
    fields.get("_class_name")
    fields.require(_WANTED)
    prediction = fields.one_of("prediction_type", tuple(_PREDICTIONS), "epsilon")
    edm = fields.build(
        EDMConfig,
        {},
        sigma_min=fields.fraction("sigma_min", EDMConfig.sigma_min),
        sigma_max=fields.fraction("sigma_max", EDMConfig.sigma_max),
        sigma_data=fields.fraction("sigma_data", EDMConfig.sigma_data),
        sigmas=fields.one_of("sigma_schedule", ("karras", "exponential"), EDMConfig.sigmas),
    )
    steps = fields.number("num_train_timesteps", default=1000)
    fields.refuse_others(_OF_A_SAMPLER)
    schedule = fields.build(
        ScheduleConfig, {"train_steps": "num_train_timesteps"}, train_steps=steps, edm=edm
    )
    return schedule, _PREDICTIONS[prediction]


def edm_settings(spec: ModelSpec) -> dict[str, Any]:
    """The scheduler_config.json of a model with `ScheduleConfig.edm`."""
    edm = spec.schedule.edm
    return _WANTED | {
        "_class_name": "EDMDPMSolverMultistepScheduler",
        "num_train_timesteps": spec.schedule.train_steps,
        "prediction_type": _NAMES[spec.prediction],
        "sigma_data": edm.sigma_data,
        "sigma_max": edm.sigma_max,
        "sigma_min": edm.sigma_min,
        "sigma_schedule": edm.sigmas,
    }
