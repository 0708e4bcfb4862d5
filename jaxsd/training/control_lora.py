"""A ControlNet whose kernels are the U-Net's own and a low-rank change of them.

That is Stability AI's Control-LoRA: a file holds the factors of each kernel of the encoder half,
and whole what the U-Net does not have (the hint's network, the convolutions that begin as zero).
Norms and biases are whole too.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax

from jaxsd.adapters.lora import initial_lora, merged
from jaxsd.config import ControlNetConfig
from jaxsd.models.controlnet import controlnet_from_unet, encoder_half
from jaxsd.training.subtrees import split
from jaxsd.types import Array, Params

WHOLE = r".*/(bias|scale)|controlnet_.*"
"""Paths in a ControlNet's tree of what has no factors."""


class ControlLora(NamedTuple):
    """What is trained in place of a ControlNet's tree, and how it becomes one.

    The model's tree gets two flat pieces: `controlnet`, path -> what is whole, and `lora`, paths
    of the U-Net's kernels -> factors (`jaxsd.adapters.lora`; alpha is the rank).
    """

    trained: tuple[str, ...]  # regular expressions over the paths of what `begin` makes
    begin: Callable[[Params, Array], Params]  # (the model's tree, key) -> with both pieces
    adapt: Callable[[Params], Params]  # -> the model's tree with a whole `controlnet`


def control_lora(shape: ControlNetConfig, unet_params: Params, rank: int) -> ControlLora:
    """The low-rank change of that rank of this U-Net's encoder half, none at first."""
    join = split(controlnet_from_unet(shape, unet_params, jax.random.key(0)), [WHOLE]).join

    def begin(params: Params, key: Array) -> Params:
        fresh = controlnet_from_unet(shape, params["unet"], key)
        half = {"unet": encoder_half(params["unet"])}
        factors = initial_lora(half, (".*",), rank=rank, alpha=rank, key=jax.random.fold_in(key, 1))
        return params | {"controlnet": split(fresh, [WHOLE]).trained, "lora": factors}

    def adapt(tree: Params) -> Params:
        half = merged({"unet": encoder_half(tree["unet"])}, tree["lora"])["unet"]
        kernels = split(half, [r".*/kernel"]).trained
        own = {name: value for name, value in tree.items() if name != "lora"}
        return own | {"controlnet": join(tree["controlnet"], kernels)}

    return ControlLora(("controlnet/.*", "lora/.*/(down|up)"), begin, adapt)
