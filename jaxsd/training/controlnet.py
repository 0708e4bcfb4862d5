"""Task "controlnet": a copy of the U-Net's encoder half that learns to see an image."""

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path

import jax.numpy as jnp

from jaxsd.config import ControlNetConfig, ModelSpec
from jaxsd.convert import read_controlnet, write_controlnet
from jaxsd.models import ControlNet, controlnet_from_unet
from jaxsd.sampling.program import Conditions, Networks
from jaxsd.training.config import TrainConfig
from jaxsd.training.diffusion import Batch
from jaxsd.training.finetune import networks_of, opened, task_over
from jaxsd.training.folder import CONDITION
from jaxsd.training.loop import Task
from jaxsd.types import Array, Params

HINT_CHANNELS = (16, 32, 96, 256)
"""Widths of the network that reads the image (Zhang et al. 2023, section 3.2), at most."""


def controlnet_task(config: TrainConfig) -> Task:
    """Trains a ControlNet beside a model that stays as it is (Zhang et al. 2023).

    It starts from `config.controlnet`, or from the U-Net and zeros.

    Raises:
      ValueError: a ControlNet of another U-Net, or pictures without conditions.
    """
    model = opened(config)
    shape, given = _starting_point(config, model.spec)
    networks = networks_of(config, model.spec)
    controlnet = ControlNet(shape, jnp.dtype(config.dtype), config.remat)

    def begin(params: Params, key: Array) -> Params:
        fresh = given or controlnet_from_unet(shape, params["unet"], key)
        return params | {"controlnet": fresh}

    def batches() -> Callable[[int, slice], Batch]:
        batch = task.batches()
        if batch(0, slice(0, config.batch_size)).condition is None:
            raise ValueError(
                f"{config.data}: not every picture has a {CONDITION} in metadata.jsonl"
            )
        return batch

    def write(folder: Path, trained: Params) -> None:
        tree = task.model(trained).params["controlnet"]
        linear = model.spec.layout.linear_projection
        write_controlnet(folder, shape, tree, linear_projection=linear, overwrite=True)

    predict = partial(controlled_prediction, networks, controlnet)
    task = task_over(config, model, ("controlnet/.*",), begin, lambda tree: tree, predict)
    return task._replace(batches=batches, exports={"diffusers": write}, model=None)


def _starting_point(config: TrainConfig, spec: ModelSpec) -> tuple[ControlNetConfig, Params | None]:
    if not config.controlnet:
        widths = HINT_CHANNELS[: int(math.log2(spec.vae.downscale)) + 1]
        return ControlNetConfig(spec.unet, hint_channels=widths), None
    shape, params = read_controlnet(config.controlnet)
    if shape.unet != spec.unet:
        raise ValueError(
            f"{config.controlnet} is a ControlNet of another U-Net than {config.model}"
        )
    return shape, params


def controlled_prediction(
    networks: Networks,
    controlnet: ControlNet,
    params: Params,
    conditions: Conditions,
    batch: Batch,
    x: Array,
    t: Array,
) -> Array:
    """What the U-Net says, given the text and what the ControlNet sees."""
    context, pooled, time_ids, _, _ = conditions
    image = batch.condition.astype(jnp.float32) / 255.0
    residuals = controlnet.apply(
        {"params": params["controlnet"]}, x, t, context, image, pooled, time_ids
    )
    return networks.unet.apply(
        {"params": params["unet"]}, x, t, context, pooled, time_ids, residuals=residuals
    )
