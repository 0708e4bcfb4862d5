"""The table of tasks: the only place to add one."""

from collections.abc import Callable
from pathlib import Path

from jaxsd.families import EMOJI
from jaxsd.models.remat import REMAT
from jaxsd.training.arrays import arrays_task
from jaxsd.training.autoencoder import autoencoder_task
from jaxsd.training.cached import is_cache
from jaxsd.training.captions import check_captions, pictures_in
from jaxsd.training.config import TrainConfig
from jaxsd.training.consistency import consistency_task
from jaxsd.training.controlnet import controlnet_task
from jaxsd.training.draft import draft_task
from jaxsd.training.finetune import check_word, embedding_task, finetune_task, lora_task
from jaxsd.training.loop import Task, mesh_for
from jaxsd.training.optimizer import OPTIMIZERS
from jaxsd.training.packed import read_data, record_files
from jaxsd.training.policy import ddpo_task
from jaxsd.training.preferences import dpo_task
from jaxsd.training.progressive import progressive_task
from jaxsd.training.prompted import prompts_in
from jaxsd.training.rewards import check_reward
from jaxsd.training.scratch import scratch_task
from jaxsd.training.tiny_autoencoder import tiny_autoencoder_task

TASKS: dict[str, Callable[[TrainConfig], Task]] = {
    "vae": lambda config: autoencoder_task(config, EMOJI.vae),
    "unet": lambda config: scratch_task(config, EMOJI),
    "finetune": finetune_task,
    "lora": lora_task,
    "embedding": embedding_task,
    "controlnet": controlnet_task,
    "consistency": consistency_task,
    "progressive": progressive_task,
    "tiny-vae": tiny_autoencoder_task,
    "draft": draft_task,
    "ddpo": ddpo_task,
    "dpo": dpo_task,
    "arrays": arrays_task,
}

CAPTIONED = ("finetune", "lora", "embedding", "controlnet", "consistency", "progressive", "dpo")
"""Tasks whose pictures have captions, in folders or in records."""

PROMPTED = ("draft", "ddpo")
"""Tasks whose data is a file of prompts."""


def check_run(config: TrainConfig) -> None:
    """Checks devices, folders and captions, before a model is read.

    Raises:
      FileNotFoundError: no such folder, or a picture of its table that is not there.
      ValueError: a mesh or a batch that does not fit the devices, few captions, or none with the
        word that is trained.
    """
    mesh_for(config)
    if not config.data:
        raise ValueError("data is empty; give a folder of pictures, or a file of arrays or prompts")
    if config.task == "arrays":
        return  # its file is read for the network, and checked then
    if config.task in PROMPTED:
        prompts_in(config)
        check_reward(config.reward, differentiable=config.task == "draft")
        return
    if config.task not in CAPTIONED:
        rows = pictures_in(Path(config.data))
        if config.task == "unet":
            check_captions(config.data, [row.texts for row in rows], config.uncaptioned)
        return
    folders = {config.prior_data: config.prior_caption, config.data: config.caption}
    for place, caption in folders.items():
        if not place or is_cache(place):
            continue
        if record_files(Path(place)):
            texts = read_data(place, caption).texts
        else:
            texts = [row.texts or (caption,) for row in pictures_in(Path(place))]
        check_captions(place, texts, config.uncaptioned)
        if config.task == "embedding" and place == config.data:
            check_word(config, texts)


def task_of(config: TrainConfig) -> Task:
    """What a run trains.

    Raises:
      ValueError: no task, `remat` policy or optimiser of that name.
    """
    for name, known in (("task", TASKS), ("remat", REMAT), ("optimizer", OPTIMIZERS)):
        if (value := getattr(config, name)) not in known:
            raise ValueError(f"{name} {value!r} is unknown: choose one of {', '.join(known)}")
    return TASKS[config.task](config)
