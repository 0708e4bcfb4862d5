"""Task "controlnet": a copy of the U-Net's encoder half that learns to see an image."""

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp

from jaxsd.config import ControlNetConfig, ModelSpec
from jaxsd.convert import read_controlnet, write_control_lora, write_controlnet
from jaxsd.memory import check_trained
from jaxsd.models import ControlNet, controlnet_from_unet
from jaxsd.sampling.program import Networks
from jaxsd.training.captions import CONDITION
from jaxsd.training.config import TrainConfig
from jaxsd.training.control_lora import control_lora
from jaxsd.training.diffusion import Batch, Told
from jaxsd.training.finetune import networks_of, opened, task_over
from jaxsd.training.loop import Task
from jaxsd.types import Array, Params

HINT_CHANNELS = (16, 32, 96, 256)
"""Widths of the network that reads the image (Zhang et al. 2023, section 3.2).

A VAE with a smaller `downscale` takes only the first of them.
"""


def controlnet_task(config: TrainConfig) -> Task:
    """Trains a ControlNet of a model whose weights stay unchanged (Zhang et al. 2023).

    It starts from `config.controlnet`, or from the U-Net and zeros. With `config.controlnet_rank`
    it is a low-rank change of the U-Net's own encoder half.

    Raises:
      ValueError: a ControlNet of another U-Net, both `controlnet` and `controlnet_rank`, or
        pictures without conditions.
    """
    model = opened(config)
    shape, given = _starting_point(config, model.spec)
    unet, key = model.params["unet"], jax.random.key(0)
    new = jax.eval_shape(partial(controlnet_from_unet, shape), unet, key)
    check_trained(jax.tree.leaves(new), "lower hint_channels")
    networks = networks_of(config, model.spec)
    controlnet = ControlNet(shape, jnp.dtype(config.dtype), config.remat)

    def begin(params: Params, key: Array) -> Params:
        fresh = given or controlnet_from_unet(shape, params["unet"], key)
        return params | {"controlnet": fresh}

    trained, adapt = ("controlnet/.*",), lambda tree: tree
    if config.controlnet_rank:
        trained, begin, adapt = control_lora(shape, model.params["unet"], config.controlnet_rank)

    def batches() -> Callable[[int, slice], Batch]:
        batch = task.batches()
        if batch(0, slice(0, config.batch_size)).condition is None:
            raise ValueError(
                f"{config.data}: not every picture has a {CONDITION[0]} in its metadata.jsonl"
            )
        return batch

    def write(folder: Path, trained: Params) -> None:
        tree = task.model(trained).params["controlnet"]
        linear = model.spec.layout.linear_projection
        write_controlnet(folder, shape, tree, linear_projection=linear, overwrite=True)

    def write_change(path: Path, trained: Params) -> None:
        own = task.model(trained).params
        unet, rank = (model.spec.unet, own["unet"]), config.controlnet_rank
        write_control_lora(path, shape, own["controlnet"], unet, rank=rank)

    predict = partial(controlled_prediction, networks, controlnet)
    task = task_over(config, model, trained, begin, adapt, predict)
    exports = {"diffusers": write}
    if config.controlnet_rank:
        exports["control-lora"] = write_change
    return task._replace(batches=batches, exports=exports, model=None)


def _starting_point(config: TrainConfig, spec: ModelSpec) -> tuple[ControlNetConfig, Params | None]:
    if not config.controlnet:
        widths = HINT_CHANNELS[: int(math.log2(spec.vae.downscale)) + 1]
        return ControlNetConfig(spec.unet, hint_channels=config.hint_channels or widths), None
    if config.controlnet_rank:
        raise ValueError(
            f"controlnet_rank is {config.controlnet_rank}, a change of the U-Net's own weights; "
            f"leave out controlnet={config.controlnet!r}"
        )
    shape, params = read_controlnet(config.controlnet)
    if shape.kinds:
        raise ValueError(
            f"{config.controlnet} is a ControlNet-Union, which can not be trained here"
        )
    if shape.unet != spec.unet:
        raise ValueError(
            f"{config.controlnet} is a ControlNet of another U-Net than {config.model}"
        )
    return shape, params


def controlled_prediction(
    networks: Networks,
    controlnet: ControlNet,
    params: Params,
    told: Told,
    batch: Batch,
    x: Array,
    t: Array,
) -> Array:
    """The U-Net's prediction from the text and the ControlNet's residuals."""
    context, pooled, time_ids = told
    image = batch.condition.astype(jnp.float32) / 255.0
    residuals = controlnet.apply(
        {"params": params["controlnet"]}, x, t, context, image, pooled, time_ids
    )
    return networks.unet.apply(
        {"params": params["unet"]}, x, t, context, pooled, time_ids, residuals=residuals
    )
