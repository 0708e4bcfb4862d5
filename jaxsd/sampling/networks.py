"""The networks of a model on what is asked of them: encode, predict a row, decode.

On a mesh these run inside `jaxsd.parallel.per_device`, on a device's own images.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from jaxsd.models import VAE, TextEncoder, UNet
from jaxsd.models.tiny_vae import TinyVAE
from jaxsd.parallel import gather
from jaxsd.sampling.loop import Network, RecallingNetwork
from jaxsd.types import Array, Params


class Networks(NamedTuple):
    """The networks of a model, and the mesh that they run on; static."""

    unet: UNet
    vae: VAE | TinyVAE
    text: tuple[TextEncoder, ...]
    mesh: Mesh | None = None


class Request(NamedTuple):
    """What is asked for, as arrays. N is B, or 2B with each image's negative before its prompt."""

    ids: tuple[Array, ...]  # [N, L] int32, one per text encoder
    keep: Array  # [N] float32, 0 where the text is replaced by zeros
    time_ids: Array | None  # [N, n] float32, for models with added conditions
    guidance: Array  # [B] float32
    noise: Array  # [B, h, w, c] float32, unit variance
    keys: Array  # [B] typed keys of the images


class Conditions(NamedTuple):
    """What the network is told beside the latents."""

    context: Array  # [N, L, d] float32
    pooled: Array | None  # [N, p] float32
    time_ids: Array | None  # [N, n] float32
    guidance: Array  # [B] float32
    channels: Array | None  # [B, h, w, e] float32, appended to the latents (inpainting models)


def encode(networks: Networks, params: Params, request: Request) -> Conditions:
    """Runs the text encoders; contexts are joined along their width, the last one's pooled kept."""
    outputs = [
        encoder.apply({"params": gather(tree, f"text/{i}", networks.mesh)}, ids)
        for i, (encoder, tree, ids) in enumerate(
            zip(networks.text, params["text"], request.ids, strict=True)
        )
    ]
    context = jnp.concatenate([output.context for output in outputs], axis=-1)
    pooled = outputs[-1].pooled
    added = networks.unet.config.added is not None
    return Conditions(
        context=context * request.keep[:, None, None],
        pooled=pooled * request.keep[:, None] if added else None,
        time_ids=request.time_ids,
        guidance=request.guidance,
        channels=_inpainting_channels(networks, params, request.noise),
    )


def _inpainting_channels(networks: Networks, params: Params, noise: Array) -> Array | None:
    """For inpainting models: a mask of ones, since all is to be painted, and a grey image."""
    config, vae = networks.unet.config, networks.vae
    if config.in_channels == config.out_channels:
        return None
    batch, height, width, _ = noise.shape
    scale = vae.config.downscale
    grey = jnp.zeros((1, height * scale, width * scale, vae.config.image_channels))
    tree = gather(params["vae"], "vae", networks.mesh)
    mean, _ = vae.apply({"params": tree}, grey, method="encode")
    latents = jnp.broadcast_to(mean * vae.config.scaling_factor, (batch, *mean.shape[1:]))
    return jnp.concatenate([jnp.ones((batch, height, width, 1)), latents], axis=-1)


def guided_network(
    networks: Networks, params: Params, conditions: Conditions, guided: bool
) -> Network:
    """The U-Net as the loop sees it.

    With guidance, one batch of 2B and u + w*(c - u) of its pairs (Ho and Salimans 2022, equation
    6, with w counted so that 1 means none). Without, the conditions may still be pairs, for the
    sake of other rows of the table: then the second of each counts.
    """

    def network(x: Array, timestep: Array) -> Array:
        return around(networks, params, conditions, guided, None, x, timestep)[0]

    return network


def reusing_network(
    networks: Networks, params: Params, conditions: Conditions, guided: bool
) -> RecallingNetwork:
    """The same for rows of which some only run the outermost level of the U-Net.

    Its memory are the deep features, made anew or used again (Ma et al. 2024, DeepCache). It begins
    as `no_features`.
    """
    run = partial(around, networks, params, conditions, guided)

    def network(x: Array, timestep: Array, deep: Array, anew: Array) -> tuple[Array, Array]:
        return jax.lax.cond(anew, lambda: run(None, x, timestep), lambda: run(deep, x, timestep))

    return network


def no_features(networks: Networks, noise: Array, guided: bool) -> Array:
    """Zeros in the shape of the deep features for latents [B, h, w, c]."""
    unet, (batch, height, width, _) = networks.unet, noise.shape
    shape = (batch * (1 + guided), height, width, unet.config.deep_channels)
    return jnp.zeros(shape, unet.dtype)


def around(
    networks: Networks,
    params: Params,
    conditions: Conditions,
    guided: bool,
    deep: Array | None,
    x: Array,
    timestep: Array,
) -> tuple[Array, Array]:
    """The prediction [B, h, w, c] and the deep features, which are computed where they are None.

    Args:
      networks: this and the next three as in `guided_network`.
      params: of all networks.
      conditions: of B or 2B rows.
      guided: whether to guide.
      deep: [B or 2B, h, w, d], see `jaxsd.models.UNet.around`.
      x: [B, h, w, c] float32.
      timestep: float32 [].
    """
    context, pooled, time_ids, guidance, channels = conditions
    embedded = guidance if networks.unet.config.guidance_dim is not None else None
    if channels is not None:
        x = jnp.concatenate([x, channels], axis=-1)
    if guided:
        x = jnp.stack([x, x], axis=1).reshape(-1, *x.shape[1:])
    each = len(context) // len(x)
    told = jax.tree.map(lambda a: a[each - 1 :: each], (context, pooled, time_ids))
    tree = gather(params["unet"], "unet", networks.mesh)
    output, deep = networks.unet.apply(
        {"params": tree}, deep, x, timestep, *told, embedded, method=UNet.around
    )
    if not guided:
        return output, deep
    without, with_text = output[::2], output[1::2]
    return without + guidance[:, None, None, None] * (with_text - without), deep


def decode(networks: Networks, params: Params, latents: Array) -> Array:
    """Scaled latents [B, h, w, c] -> images [B, H, W, 3] float32."""
    unscaled = latents / networks.vae.config.scaling_factor
    tree = gather(params["vae"], "vae", networks.mesh)
    return networks.vae.apply({"params": tree}, unscaled, method="decode")
