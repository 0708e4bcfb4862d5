"""The table of tasks: the only place to add one."""

from collections.abc import Callable

from jaxsd.families import EMOJI
from jaxsd.models.remat import REMAT
from jaxsd.training.autoencoder import autoencoder_task
from jaxsd.training.config import TrainConfig
from jaxsd.training.controlnet import controlnet_task
from jaxsd.training.finetune import embedding_task, finetune_task, lora_task
from jaxsd.training.loop import Task
from jaxsd.training.optimizer import OPTIMIZERS
from jaxsd.training.scratch import scratch_task
from jaxsd.training.tiny_autoencoder import tiny_autoencoder_task

TASKS: dict[str, Callable[[TrainConfig], Task]] = {
    "vae": lambda config: autoencoder_task(config, EMOJI.vae),
    "unet": lambda config: scratch_task(config, EMOJI),
    "finetune": finetune_task,
    "lora": lora_task,
    "embedding": embedding_task,
    "controlnet": controlnet_task,
    "tiny-vae": tiny_autoencoder_task,
}


def task_of(config: TrainConfig) -> Task:
    """What a run trains.

    Raises:
      ValueError: no task, `remat` policy or optimiser of that name.
    """
    for name, known in (("task", TASKS), ("remat", REMAT), ("optimizer", OPTIMIZERS)):
        if (value := getattr(config, name)) not in known:
            raise ValueError(f"{name} {value!r} is unknown: choose one of {', '.join(known)}")
    return TASKS[config.task](config)
