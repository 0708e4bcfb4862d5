"""Prompts to pictures as pure functions: encode, denoise, decode; whole, or in parts.

Weights and everything that a user changes from call to call are arguments, so that only shapes and
the two static facts (`Networks`, `guided`) decide what is compiled. On a mesh every program runs on
each device's own images (`jaxsd.parallel`).
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from jaxsd.models import VAE, TextEncoder, UNet
from jaxsd.parallel import EVERYWHERE, IMAGES, IMAGES_SECOND, gather, param_specs, per_device
from jaxsd.sampling.loop import Network, State, advance, begin, rows
from jaxsd.schedulers import Tableau
from jaxsd.types import Array, Params


class Networks(NamedTuple):
    """The networks of a model, and the mesh that they run on; static."""

    unet: UNet
    vae: VAE
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


class Drawing(NamedTuple):
    """What comes out."""

    images: Array  # [B, H, W, 3] float32, about [-1, 1]
    latents: Array  # [B, h, w, c] float32
    finite: Array  # [S, B] bool, after each row


DRAWING = Drawing(IMAGES, IMAGES, IMAGES_SECOND)
"""How a drawing lies on a mesh."""


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
    mean, _ = vae.apply({"params": tree}, grey, method=VAE.encode)
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
    context, pooled, time_ids, guidance, channels = conditions
    embedded = guidance if networks.unet.config.guidance_dim is not None else None

    def network(x: Array, timestep: Array) -> Array:
        if channels is not None:
            x = jnp.concatenate([x, channels], axis=-1)
        if guided:
            x = jnp.stack([x, x], axis=1).reshape(-1, *x.shape[1:])
        each = len(context) // len(x)
        told = jax.tree.map(lambda a: a[each - 1 :: each], (context, pooled, time_ids))
        tree = gather(params["unet"], "unet", networks.mesh)
        output = networks.unet.apply({"params": tree}, x, timestep, *told, embedded)
        if not guided:
            return output
        without, with_text = output[::2], output[1::2]
        return without + guidance[:, None, None, None] * (with_text - without)

    return network


def decode(networks: Networks, params: Params, latents: Array) -> Array:
    """Scaled latents [B, h, w, c] -> images [B, H, W, 3] float32."""
    unscaled = latents / networks.vae.config.scaling_factor
    tree = gather(params["vae"], "vae", networks.mesh)
    return networks.vae.apply({"params": tree}, unscaled, method=VAE.decode)


@partial(jax.jit, static_argnames=("networks", "guided", "interval"))
def draw(
    networks: Networks,
    params: Params,
    tableau: Tableau,
    request: Request,
    *,
    guided: bool,
    interval: tuple[int, int] | None = None,
) -> Drawing:
    """The whole line as one program.

    Args:
      networks: static.
      params: of all networks.
      tableau: of the sampler.
      request: what is asked for.
      guided: whether there are negative prompts; static.
      interval: rows (first, end) that are guided, if not all; static. Each kind of rows is a loop.
    """

    def run(params: Params, tableau: Tableau, request: Request) -> Drawing:
        conditions = encode(networks, params, request)
        state, finite = begin(tableau, request.noise), []
        for first, end, doubled in _spans(tableau.rows, guided, interval):
            network = guided_network(networks, params, conditions, doubled)
            part = rows(tableau, first, end)
            state, ok = advance(part, network, state, request.keys, first_row=first)
            finite.append(ok)
        latents = state.samples[0]
        return Drawing(decode(networks, params, latents), latents, jnp.concatenate(finite))

    in_specs = (param_specs(params, networks.mesh), EVERYWHERE, IMAGES)
    return per_device(networks.mesh, run, in_specs, DRAWING)(params, tableau, request)


def _spans(
    count: int, guided: bool, interval: tuple[int, int] | None
) -> list[tuple[int, int, bool]]:
    """Rows (first, end, whether guided), one after the other, none of them empty."""
    if interval is None or not guided:
        return [(0, count, guided)]
    first, end = interval
    spans = [(0, first, False), (first, end, True), (end, count, False)]
    return [span for span in spans if span[0] < span[1]]


@partial(jax.jit, static_argnames="networks")
def start(
    networks: Networks, params: Params, tableau: Tableau, request: Request
) -> tuple[Conditions, State]:
    """The first part of `draw`."""

    def run(params: Params, tableau: Tableau, request: Request) -> tuple[Conditions, State]:
        return encode(networks, params, request), begin(tableau, request.noise)

    in_specs = (param_specs(params, networks.mesh), EVERYWHERE, IMAGES)
    out_specs = (IMAGES, IMAGES_SECOND)
    return per_device(networks.mesh, run, in_specs, out_specs)(params, tableau, request)


@partial(jax.jit, static_argnames=("networks", "guided"))
def go_on(
    networks: Networks,
    params: Params,
    part: Tableau,
    first_row: Array,
    conditions: Conditions,
    state: State,
    keys: Array,
    *,
    guided: bool,
) -> tuple[State, Array]:
    """The middle part of `draw`: the rows of `part`, the first of them number `first_row`."""

    def run(
        params: Params,
        part: Tableau,
        first_row: Array,
        conditions: Conditions,
        state: State,
        keys: Array,
    ) -> tuple[State, Array]:
        network = guided_network(networks, params, conditions, guided)
        return advance(part, network, state, keys, first_row=first_row)

    specs = param_specs(params, networks.mesh)
    in_specs = (specs, EVERYWHERE, EVERYWHERE, IMAGES, IMAGES_SECOND, IMAGES)
    shared = per_device(networks.mesh, run, in_specs, (IMAGES_SECOND, IMAGES_SECOND))
    return shared(params, part, first_row, conditions, state, keys)


@partial(jax.jit, static_argnames="networks")
def finish(networks: Networks, params: Params, latents: Array) -> Array:
    """The last part of `draw`."""
    in_specs = (param_specs(params, networks.mesh), IMAGES)
    return per_device(networks.mesh, partial(decode, networks), in_specs, IMAGES)(params, latents)
