"""A second model that goes on with the latents of a first one, such as XL's refiner."""

from dataclasses import replace
from pathlib import Path

from jaxsd.config import ModelSpec, ScheduleConfig
from jaxsd.convert.api import open_model
from jaxsd.convert.stored_model import StoredModel


def open_refiner(source: str | Path, spec: ModelSpec) -> StoredModel:
    """Open a model that can take over from one with the spec, without reading its weights.

    Raises:
      ValueError: it has other latents, other noise, or looks at more than texts.
      FileNotFoundError: as `open_model`.
    """
    model = open_model(source)
    unet, own = model.spec.unet, spec.unet
    if unet.in_channels != unet.out_channels or unet.guidance_dim is not None:
        what = "is not a model of texts alone"
    elif (unet.out_channels, unet.added is None) != (own.out_channels, own.added is None):
        what = "has other latents"
    elif model.spec.schedule.edm is not None:
        what = "has continuous noise"
    elif _noise(model.spec.schedule) != _noise(spec.schedule):
        what = "was trained with other noise"
    else:
        return model
    raise ValueError(
        f"refiner {source} ({model.spec.family}) cannot take over from {spec.family}: it {what}"
    )


def _noise(schedule: ScheduleConfig) -> ScheduleConfig:
    """The schedule without what only says which timesteps are drawn."""
    return replace(schedule, timestep_spacing=None, steps_offset=0, set_alpha_to_one=False)
