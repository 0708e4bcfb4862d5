"""A ControlNet whose kernels are the U-Net's plus a low-rank change.

This is Stability AI's Control-LoRA. A file holds factors for each kernel of the encoder half. What
the U-Net does not have (the hint network, the convolutions that begin as zero) is stored in full,
and so are norms and biases.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax

from jaxsd.adapters.lora import Lora, initial_lora, merged
from jaxsd.config import ControlNetConfig
from jaxsd.memory import check_trained
from jaxsd.models.controlnet import controlnet_from_unet, encoder_half
from jaxsd.training.subtrees import split
from jaxsd.types import Array, Params

WHOLE = r".*/(bias|scale)|controlnet_.*"
"""Paths in a ControlNet's tree of leaves without factors."""


class ControlLora(NamedTuple):
    """What is trained instead of a ControlNet's tree, and how that tree is made from it.

    The model's tree gets two flat dicts: `controlnet`, path -> leaf without factors, and `lora`,
    path of a U-Net's kernel -> factors (`jaxsd.adapters.lora`; alpha is the rank).
    """

    trained: tuple[str, ...]  # regular expressions over the paths of what `begin` makes
    begin: Callable[[Params, Array], Params]  # (the model's tree, key) -> the tree with both dicts
    adapt: Callable[[Params], Params]  # that tree -> the model's tree with a full `controlnet`


def control_lora(shape: ControlNetConfig, unet_params: Params, rank: int) -> ControlLora:
    """A low-rank change of this U-Net's encoder half, which is zero at first.

    Raises:
      ValueError: the factors do not fit into memory.
    """
    join = split(controlnet_from_unet(shape, unet_params, jax.random.key(0)), [WHOLE]).join

    def factors(unet: Params, key: Array) -> Lora:
        half = {"unet": encoder_half(unet)}
        return initial_lora(half, (".*",), rank=rank, alpha=rank, key=jax.random.fold_in(key, 1))

    new = jax.eval_shape(factors, unet_params, jax.random.key(0))
    check_trained(jax.tree.leaves(new), "lower controlnet_rank")

    def begin(params: Params, key: Array) -> Params:
        fresh = split(controlnet_from_unet(shape, params["unet"], key), [WHOLE]).trained
        return params | {"controlnet": fresh, "lora": factors(params["unet"], key)}

    def adapt(tree: Params) -> Params:
        half = merged({"unet": encoder_half(tree["unet"])}, tree["lora"])["unet"]
        kernels = split(half, [r".*/kernel"]).trained
        own = {name: value for name, value in tree.items() if name != "lora"}
        return own | {"controlnet": join(tree["controlnet"], kernels)}

    return ControlLora(("controlnet/.*", "lora/.*/(down|up)"), begin, adapt)
