"""The list of tasks: the only one to extend."""

from collections.abc import Callable

from jaxsd.families import EMOJI
from jaxsd.training.autoencoder import autoencoder_task
from jaxsd.training.config import TrainConfig
from jaxsd.training.diffusion import diffusion_task
from jaxsd.training.loop import Task

TASKS: dict[str, Callable[[TrainConfig], Task]] = {
    "vae": lambda config: autoencoder_task(config, EMOJI.vae),
    "unet": lambda config: diffusion_task(config, EMOJI),
}
