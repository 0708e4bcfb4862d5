"""scheduler_config.json, read and written."""

import math
from dataclasses import asdict
from typing import Any

from jaxsd.config import ModelSpec, ScheduleConfig
from jaxsd.convert.diffusers.edm_settings import EDM_CLASSES, edm_schedule, edm_settings
from jaxsd.convert.diffusers.fields import LONGEST_SHOWN, Config, Fields
from jaxsd.terminal import printable
from jaxsd.types import Prediction

_PREDICTIONS: dict[str, Prediction] = {
    "epsilon": "epsilon",
    "v_prediction": "v",
    "sample": "sample",
}
_NAMES = {ours: theirs for theirs, ours in _PREDICTIONS.items()}

_OF_DDPM = {"beta_schedule": "linear", "beta_start": 0.0001, "beta_end": 0.02}
_OF_SD = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
_HALF_OF_BOTH = _OF_SD | {"beta_schedule": "linear"}

CLASSES: dict[str, dict[str, Any]] = {
    "DDIMScheduler": _OF_DDPM | {"set_alpha_to_one": True},
    "DDPMScheduler": _OF_DDPM,
    "DEISMultistepScheduler": _OF_DDPM,
    "DPMSolverMultistepScheduler": _OF_DDPM,
    "DPMSolverSDEScheduler": _HALF_OF_BOTH,
    "DPMSolverSinglestepScheduler": _OF_DDPM,
    "EulerAncestralDiscreteScheduler": _OF_DDPM,
    "EulerDiscreteScheduler": _OF_DDPM,
    "HeunDiscreteScheduler": _HALF_OF_BOTH,
    "KDPM2AncestralDiscreteScheduler": _HALF_OF_BOTH,
    "KDPM2DiscreteScheduler": _HALF_OF_BOTH,
    "LCMScheduler": _OF_SD | {"set_alpha_to_one": True},
    "LMSDiscreteScheduler": _OF_DDPM,
    "PNDMScheduler": _OF_DDPM,
    "SASolverScheduler": _OF_DDPM,
    "TCDScheduler": _OF_SD | {"set_alpha_to_one": True},
    "UniPCMultistepScheduler": _OF_DDPM,
}
"""Classes of diffusers with the noise of Stable Diffusion -> what they do without a setting."""

_WANTED: dict[str, Any] = {
    "interpolation_type": "linear",
    "lambda_min_clipped": -math.inf,
    "original_inference_steps": 50,
    "shift_terminal": None,
    "sigma_max": None,
    "sigma_min": None,
    "thresholding": False,
    "timestep_scaling": 10.0,
    "timestep_type": "discrete",
    "trained_betas": None,
    "use_dynamic_shifting": False,
    "use_flow_sigmas": False,
}
"""Settings that change the noise, the timesteps or the estimate, and have one value here."""

_OF_A_SAMPLER = {
    "algorithm_type",
    "clip_sample",  # latents are never clipped; diffusers turns it off in Stable Diffusion
    "clip_sample_range",
    "corrector_order",
    "disable_corrector",
    "dynamic_thresholding_ratio",
    "euler_at_final",
    "final_sigmas_type",
    "flow_shift",
    "lower_order_final",
    "noise_sampler_seed",
    "predict_x0",
    "predictor_order",
    "sample_max_value",
    "skip_prk_steps",
    "solver_order",
    "solver_p",
    "solver_type",
    "tau_func",
    "tensor_format",
    "time_shift_type",
    "use_beta_sigmas",
    "use_exponential_sigmas",
    "use_karras_sigmas",
    "use_lu_lambdas",
}
"""How a class steps. It does not matter here, where the user names the sampler."""

_BETAS = ("linear", "scaled_linear", "squaredcos_cap_v2")
_SPACINGS = (None, "leading", "linspace", "trailing")
_VARIANCES = (None, "fixed_small", "fixed_small_log", "fixed_large", "fixed_large_log")


def check_class(name: Any, where: str) -> None:
    """Checks that a scheduler is one whose settings are known.

    Raises:
      ValueError: naming those that are.
    """
    known = (*CLASSES, *EDM_CLASSES)
    if name not in known:
        shown = printable(repr(name), LONGEST_SHOWN)
        allowed = ", ".join(known)
        raise ValueError(f"{where}: the scheduler {shown} is not supported, only {allowed}")


def schedule_config(config: Config, where: str) -> tuple[ScheduleConfig, Prediction]:
    """The noise schedule, sampling grid and prediction of a diffusers scheduler.

    Absent settings get the defaults of the scheduler's class; an absent spacing stays None.

    Raises:
      ValueError: naming a class or a setting that is not known here.
    """
    fields = Fields(config, where)
    name = fields.get("_class_name")
    check_class(name, where)
    if name in EDM_CLASSES:
        return edm_schedule(fields)
    usual = CLASSES[name]
    fields.require(_WANTED)
    fields.one_of("variance_type", _VARIANCES, None)  # others are of networks that predict it
    prediction = fields.one_of("prediction_type", tuple(_PREDICTIONS), "epsilon")
    said = {
        "beta_schedule": fields.one_of("beta_schedule", _BETAS, usual["beta_schedule"]),
        "beta_start": _number(fields, "beta_start", usual["beta_start"]),
        "beta_end": _number(fields, "beta_end", usual["beta_end"]),
        "train_steps": fields.number("num_train_timesteps", default=1000),
        "zero_terminal_snr": fields.switch("rescale_betas_zero_snr", default=False),
        "set_alpha_to_one": fields.switch(
            "set_alpha_to_one", default=usual.get("set_alpha_to_one", False)
        ),
        "timestep_spacing": fields.one_of("timestep_spacing", _SPACINGS, None),
        "steps_offset": _number(fields, "steps_offset", 0, (int,)),
    }
    fields.refuse_others(_OF_A_SAMPLER)
    try:
        return ScheduleConfig(**said), _PREDICTIONS[prediction]
    except ValueError as error:
        told = str(error).replace("train_steps", "num_train_timesteps")
        raise ValueError(f"{where}: {told}") from None


def _number(
    fields: Fields, name: str, default: float, kinds: tuple[type, ...] = (int, float)
) -> float:
    value = fields.get(name, default)
    if type(value) not in kinds:
        raise fields.wrong(name, value, f"should be a {'' if float in kinds else 'whole '}number")
    return value


def scheduler_settings(spec: ModelSpec) -> dict[str, Any]:
    """The scheduler_config.json of a model, with the class that such models come with.

    DPM-Solver++ for EDM, Euler for XL, PNDM for epsilon, DDIM for v and for what only DDIM has:
    zero terminal SNR, and a last alpha of 1 in XL. Settings of the other classes are written too,
    as diffusers keeps them when a user changes the class: else DDIM would clip latents and PNDM
    begin with Runge-Kutta.
    """
    if spec.schedule.edm is not None:
        return edm_settings(spec)
    settings = _of_any_class(spec.schedule)
    zero_snr = settings.pop("zero_terminal_snr")
    final_alpha = settings.pop("set_alpha_to_one")
    settings["prediction_type"] = _NAMES[spec.prediction]
    settings |= {"clip_sample": False, "set_alpha_to_one": final_alpha, "skip_prk_steps": True}
    xl = spec.unet.added is not None
    if xl and not (zero_snr or final_alpha):
        return settings | {"_class_name": "EulerDiscreteScheduler", "use_karras_sigmas": False}
    if xl or zero_snr or spec.prediction == "v":
        return settings | {"_class_name": "DDIMScheduler", "rescale_betas_zero_snr": zero_snr}
    return settings | {"_class_name": "PNDMScheduler"}


def low_res_settings(schedule: ScheduleConfig) -> dict[str, Any]:
    """The scheduler_config.json of the noise that diffusers adds to small pictures."""
    settings = _of_any_class(schedule)
    zero_snr, _ = settings.pop("zero_terminal_snr"), settings.pop("set_alpha_to_one")
    named = {"_class_name": "DDPMScheduler", "rescale_betas_zero_snr": zero_snr}
    return settings | named | {"clip_sample": False, "prediction_type": "epsilon"}


def _of_any_class(schedule: ScheduleConfig) -> dict[str, Any]:
    """What most classes have; zero terminal SNR and the last alpha are still under our names."""
    settings = asdict(schedule) | {"trained_betas": None}
    del settings["edm"], settings["timestep_spacing"]
    if schedule.spacing is not None:
        settings["timestep_spacing"] = schedule.spacing
    settings["num_train_timesteps"] = settings.pop("train_steps")
    return settings
