"""One U-Net call of the loop: selects texts, adds weighted branches, and applies features.

On a mesh this runs inside `jaxsd.parallel.per_device`, on a device's own images.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from jaxsd.config import HypernetConfig
from jaxsd.models import VAE, ControlNet, Residuals, TextEncoder, UNet
from jaxsd.models.clip_vision import VisionEncoder
from jaxsd.models.in_turn import InTurn
from jaxsd.models.ip_adapter import IPAdapter
from jaxsd.models.motion import Motion
from jaxsd.models.t2i_adapter import T2IAdapter
from jaxsd.models.tiles import TiledVAE
from jaxsd.models.tiny_vae import TinyVAE
from jaxsd.models.unet import OF_SELF, OF_TEXT, OF_TIME
from jaxsd.nn.products import joined
from jaxsd.parallel import gather
from jaxsd.sampling.loop import Memory, Network, Step, per_image
from jaxsd.types import Array, Params


class Networks(NamedTuple):
    """The networks of a model, and the mesh that they run on; static."""

    unet: UNet
    vae: VAE | TinyVAE | TiledVAE | InTurn
    text: tuple[TextEncoder, ...]
    mesh: Mesh | None = None
    controlnets: tuple[ControlNet | T2IAdapter, ...] = ()
    ip_adapters: tuple[IPAdapter, ...] = ()
    vision: VisionEncoder | None = None
    motion: Motion | None = None
    hypernets: tuple[HypernetConfig, ...] = ()


class Conditions(NamedTuple):
    """The network's inputs besides the latents: M texts for each of B images."""

    context: Array  # [B, M, L, d] float32
    pooled: Array | None  # [B, M, p] float32
    time_ids: Array | None  # [B, M, n] float32
    guidance: Array  # [B] float32, for networks that embed it
    held: dict[str, Any]  # results of `Feature.hold`, by the names of features


class Call(NamedTuple):
    """The inputs of one U-Net call. N is B*K: the branches of an image follow each other."""

    x: Array  # [N, h, w, c] float32
    timestep: Array  # [N]
    context: Array  # [N, L, d]
    pooled: Array | None  # [N, p]
    time_ids: Array | None  # [N, n]
    guidance: Array | None  # [N]
    residuals: Residuals | None = None
    deep: Array | None = None  # [N, h, w, d], from an earlier answer; None to compute it
    label: Array | None = None  # [N] int32, level of a small picture's noise; or [N, label_dim]
    times: dict[str, Array] | None = None  # [N, width] by layer, see `Step`
    cut: Callable[[Array], Array] | None = None  # gives the part of whole maps that `x` is of

    def seen(self, maps: Any) -> Any:
        """The part of maps [N, h_i, w_i, c_i] of the whole picture that this call sees."""
        return maps if self.cut is None else jax.tree.map(self.cut, maps)


class Answer(NamedTuple):
    """The result of a U-Net call."""

    output: Array  # [N, h, w, c] float32
    deep: Array  # [N, h, w, d]


UNetCall = Callable[[Call, Step, Memory], tuple[Answer, Memory]]
"""The U-Net, or the U-Net with features around it."""


class Branches(NamedTuple):
    """The network's input and what it answers for each branch, before they are combined."""

    x: Array  # [B, h, w, c] float32
    outputs: Array  # [B, K, h, w, c] float32


Combine = Callable[[Branches, Array, Step, Memory], tuple[Array, Memory]]
"""(branches, combined [B, h, w, c], step, memory) -> (combined, memory)."""


def unet_call(networks: Networks, params: Params) -> UNetCall:
    """The U-Net by itself."""
    unet, mesh, beside = networks.unet, networks.mesh, {}
    if not splits_weights(mesh):
        beside = joined(params["unet"], (OF_TIME, OF_TEXT, OF_SELF), unet.dtype)

    def run(call: Call, step: Step, memory: Memory) -> tuple[Answer, Memory]:
        *told, deep, label, times, _ = call
        tree = gather(params["unet"], "unet", mesh)
        variables = {"params": tree, **beside}
        answer = unet.apply(variables, deep, *told, label, times, method=UNet.around)
        return Answer(*answer), memory

    return run


def splits_weights(mesh: Mesh | None) -> bool:
    """Whether no device has the whole U-Net."""
    return mesh is not None and mesh.shape["fsdp"] * mesh.shape["tensor"] > 1


def guided(
    unet: UNetCall, conditions: Conditions, combine: Combine, *, embeds_guidance: bool
) -> Network:
    """The network of the loop: K branches per image in one batch, and their weighted sum.

    The columns `which` and `weight` are those of `jaxsd.schedulers.guidance`.

    Args:
      unet: with the features around it.
      conditions: of B images.
      combine: changes the sum at the end.
      embeds_guidance: whether the guidance scale is an input of the U-Net (LCM).
    """

    def network(x: Array, step: Step, memory: Memory) -> tuple[Array, Memory]:
        which, weight = step.columns["which"], step.columns["weight"]
        branches = which.shape[1]
        context, pooled, time_ids = jax.tree.map(lambda texts: chosen(texts, which), conditions[:3])
        call = Call(
            x=branched(x, branches),
            timestep=branched(step.row.timestep, branches),
            context=context,
            pooled=pooled,
            time_ids=time_ids,
            guidance=branched(conditions.guidance, branches) if embeds_guidance else None,
            times=jax.tree.map(lambda own: own.reshape(-1, own.shape[-1]), step.times),
        )
        answer, memory = unet(call, step, memory)
        outputs = answer.output.reshape(len(x), branches, *answer.output.shape[1:])
        first = combined = outputs[:, 0]
        for k in range(1, branches):
            combined = combined + per_image(weight[:, k - 1], outputs[:, k] - first)
        return combine(Branches(x, outputs), combined, step, memory)

    return network


def branched(a: Array, branches: int) -> Array:
    """Repeats each image of [B, ...] for its branches, [B*K, ...]."""
    return jnp.repeat(a, branches, axis=0)


def of_last_branch(rows: Array, branches: int) -> Array:
    """[B] bool for the last branch of each image, False for the others: [B*K]."""
    return jnp.zeros((len(rows), branches), bool).at[:, -1].set(rows).reshape(-1)


def chosen(texts: Array, which: Array) -> Array:
    """Takes texts number `which` [B, K] of each image's M: [B, M, ...] -> [B*K, ...]."""
    each = jax.vmap(lambda own, numbers: own[numbers])(texts, which)
    return each.reshape(-1, *texts.shape[2:])
