"""Runs diffusers' own scheduler classes on the toy network, with the noise given."""

import contextlib
import sys
from collections.abc import Iterator
from typing import Any
from unittest import mock

import diffusers
import numpy as np
import torch

diffusers.logging.set_verbosity_error()

SD = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
}
PREDICTIONS = {"epsilon": "epsilon", "v": "v_prediction", "sample": "sample"}
CLASSES = {
    "ddim": "DDIMScheduler",
    "ddpm": "DDPMScheduler",
    "pndm": "PNDMScheduler",
    "lms": "LMSDiscreteScheduler",
    "euler": "EulerDiscreteScheduler",
    "euler_a": "EulerAncestralDiscreteScheduler",
    "heun": "HeunDiscreteScheduler",
    "dpm2": "KDPM2DiscreteScheduler",
    "dpm2_a": "KDPM2AncestralDiscreteScheduler",
    "dpm++_2m": "DPMSolverMultistepScheduler",
    "dpm++_2m_sde": "DPMSolverMultistepScheduler",
    "dpm++_2s": "DPMSolverSinglestepScheduler",
    "unipc": "UniPCMultistepScheduler",
    "deis": "DEISMultistepScheduler",
    "sa_solver": "SASolverScheduler",
    "lcm": "LCMScheduler",
    "tcd": "TCDScheduler",
}
SETTINGS: dict[str, dict[str, Any]] = {
    "ddim": {"clip_sample": False, "set_alpha_to_one": False, "steps_offset": 1},
    "ddpm": {"clip_sample": False, "steps_offset": 1},
    "pndm": {"skip_prk_steps": True, "steps_offset": 1},
    "lms": {"steps_offset": 1},
    "euler": {"steps_offset": 1},
    "euler_a": {"steps_offset": 1},
    "heun": {"steps_offset": 1},
    "dpm++_2m": {"steps_offset": 1},
    "dpm++_2m_sde": {"steps_offset": 1, "algorithm_type": "sde-dpmsolver++"},
    "unipc": {"steps_offset": 1},
    "deis": {"steps_offset": 1},
    "dpm2": {"steps_offset": 1},
    "dpm2_a": {"steps_offset": 1},
    "sa_solver": {"steps_offset": 1},
}
"""What pipelines of SD 1.5 and 2 give to these classes: the checkpoint's offset, no clipping."""


def scheduler(name: str, prediction: str, **settings: Any) -> Any:
    """diffusers' scheduler of a sampler, for Stable Diffusion's noise schedule."""
    settings = SD | SETTINGS.get(name, {}) | settings
    kind = getattr(diffusers, CLASSES[name])
    begin = kind.set_timesteps
    # Some lay a grid of all timesteps at first, which takes half a second. Two are enough.
    with mock.patch.object(kind, "set_timesteps", lambda self, *_: begin(self, 2)):
        return kind(prediction_type=PREDICTIONS[prediction], **settings)


@contextlib.contextmanager
def in_float64() -> Iterator[None]:
    """Makes diffusers compute in float64 from the betas on, where its float32 is too coarse to show
    whether coefficients agree. Our `build` too, since NumPy's name for float32 is replaced as well.
    """
    with (
        mock.patch.object(torch, "float32", torch.float64),
        mock.patch.object(np, "float32", np.float64),
    ):
        torch.set_default_dtype(torch.float64)
        try:
            yield
        finally:
            torch.set_default_dtype(torch.float)


def toy_network(x: torch.Tensor, timestep: float) -> torch.Tensor:
    """The one of slow_loop.py, in torch."""
    return 0.6 * torch.tanh(x) * np.cos(timestep / 400) + 0.2 * torch.sin(2 * x)


def run_scheduler(
    reference: Any,
    x: np.ndarray,
    noises: np.ndarray,
    strides: list[int] | None = None,
    **step_options: Any,
) -> np.ndarray:
    """The result from unit noise `x`, after `set_timesteps`.

    `strides` replaces the fixed stride of T//n with which DDIM and PNDM step (see the tests).
    """
    if isinstance(reference, diffusers.KDPM2AncestralDiscreteScheduler):
        noises = noises[1::2]  # it draws in every second call, in which ours adds noise
    sample = torch.tensor(x) * float(reference.init_noise_sigma)
    draws = iter(noises)

    def draw(*args: Any, **kwargs: Any) -> torch.Tensor:
        return torch.tensor(next(draws))

    module = sys.modules[type(reference).__module__]
    with mock.patch.object(module, "randn_tensor", draw, create=True):
        for i, t in enumerate(reference.timesteps):
            if strides is not None:
                reference.num_inference_steps = 1
                reference.register_to_config(num_train_timesteps=strides[i])
            output = toy_network(reference.scale_model_input(sample, t), float(t))
            sample = reference.step(output, t, sample, return_dict=False, **step_options)[0]
    return sample.numpy()
