"""scheduler_config.json, read and written."""

from dataclasses import asdict
from typing import Any

from jaxsd.config import ModelSpec, ScheduleConfig
from jaxsd.convert.diffusers.fields import Config, Fields
from jaxsd.types import Prediction

_PREDICTIONS: dict[str, Prediction] = {
    "epsilon": "epsilon",
    "v_prediction": "v",
    "sample": "sample",
}
_NAMES = {ours: theirs for theirs, ours in _PREDICTIONS.items()}

_LAST_ALPHA_IS_ONE = ("DDIMScheduler", "LCMScheduler", "TCDScheduler")
"""Classes that end at alpha = 1 where the file does not say."""
_BETAS = ("linear", "scaled_linear", "squaredcos_cap_v2")
_SPACINGS = (None, "leading", "linspace", "trailing")


def schedule_config(config: Config, where: str) -> tuple[ScheduleConfig, Prediction]:
    """The noise schedule, sampling grid and prediction of a diffusers scheduler.

    Absent settings get the defaults of the scheduler's class; an absent spacing stays None.

    Raises:
      ValueError: naming a setting that is not known here.
    """
    fields = Fields(config, where)
    fields.require({"trained_betas": None})
    prediction = fields.one_of("prediction_type", _PREDICTIONS, "epsilon")
    last_alpha = config.get("set_alpha_to_one", config.get("_class_name") in _LAST_ALPHA_IS_ONE)
    schedule = ScheduleConfig(
        beta_schedule=fields.one_of("beta_schedule", _BETAS, "linear"),
        beta_start=float(config.get("beta_start", 0.0001)),
        beta_end=float(config.get("beta_end", 0.02)),
        train_steps=int(config.get("num_train_timesteps", 1000)),
        zero_terminal_snr=bool(config.get("rescale_betas_zero_snr", False)),
        set_alpha_to_one=bool(last_alpha),
        timestep_spacing=fields.one_of("timestep_spacing", _SPACINGS, None),
        steps_offset=int(config.get("steps_offset", 0)),
    )
    return schedule, _PREDICTIONS[prediction]


def scheduler_settings(spec: ModelSpec) -> dict[str, Any]:
    """The scheduler_config.json of a model, with the class that such models come with.

    Euler for XL, PNDM for epsilon, DDIM for v and for what only DDIM has: zero terminal SNR, and
    a last alpha of 1 in XL. Settings of the other classes are written too, as diffusers keeps them
    when a user changes the class: else DDIM would clip latents and PNDM begin with Runge-Kutta.
    """
    settings = asdict(spec.schedule) | {"trained_betas": None}
    zero_snr = settings.pop("zero_terminal_snr")
    final_alpha = settings.pop("set_alpha_to_one")
    if settings["timestep_spacing"] is None:
        del settings["timestep_spacing"]
    settings["num_train_timesteps"] = settings.pop("train_steps")
    settings["prediction_type"] = _NAMES[spec.prediction]
    settings |= {"clip_sample": False, "set_alpha_to_one": final_alpha, "skip_prk_steps": True}
    xl = spec.unet.added is not None
    if xl and not (zero_snr or final_alpha):
        return settings | {"_class_name": "EulerDiscreteScheduler", "use_karras_sigmas": False}
    if xl or zero_snr or spec.prediction == "v":
        return settings | {"_class_name": "DDIMScheduler", "rescale_betas_zero_snr": zero_snr}
    return settings | {"_class_name": "PNDMScheduler"}
