"""Prompts to pictures as pure functions: encode, denoise, decode, and `draw`, which runs all three.

Weights and everything that a user changes from call to call are arguments, so only `Networks` and
the structure of the arguments decide what is compiled. On a mesh every program runs on each
device's own images (`jaxsd.parallel`).
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from jaxsd.models.clip_vision import VisionOutput
from jaxsd.models.photomaker import PhotoMaker
from jaxsd.models.upscalers import UpscalerNetwork
from jaxsd.parallel import EVERYWHERE, IMAGES, IMAGES_SECOND, param_specs, per_device
from jaxsd.sampling.call import Conditions, Networks, guided
from jaxsd.sampling.features import (
    FEATURES,
    Beginning,
    around,
    combined,
    on_sample,
    on_x0,
    present,
    remembered,
    wrapped,
)
from jaxsd.sampling.latents import INITIAL_NOISE, decoded, latents_of, mean_of, noise_of
from jaxsd.sampling.loop import Hook, Memory, Network, State, Step, advance, begin
from jaxsd.sampling.texts import Encoded, Texts, encoded_texts
from jaxsd.sampling.times import with_times
from jaxsd.types import Array, Params


class Given(NamedTuple):
    """The request as arrays."""

    texts: Texts | Encoded
    time_ids: Array | None  # [B, M, n] float32, for models with added conditions
    guidance: Array  # [B] float32, for networks that embed it
    start: Array  # [B, 2] float32, `Tableau.start`
    noise: Array  # [B, h, w, c] float32, unit variance
    keys: Array  # [B] typed keys of the images
    image: Array | None  # [B, H, W, 3] float32 in [-1, 1], the pictures to begin from
    features: dict[str, Any]  # arrays [B, ...] of the features of `jaxsd.sampling.features`
    source: Array | None = None  # [B, h, w, c] float32, scaled latents to begin from, or `image`
    draws: dict[int, Array] | None = None  # noise [B, h, w, c] by purpose, in place of the keys'


class Drawing(NamedTuple):
    """The result."""

    images: Array  # [B, H, W, 3] float32, about [-1, 1]
    latents: Array  # [B, h, w, c] float32
    finite: Array  # [S, B] bool, after each row


DRAWING = Drawing(IMAGES, IMAGES, IMAGES_SECOND)
"""How a drawing is split over a mesh."""


@partial(jax.jit, static_argnames="shape")
def initial_noise(keys: Array, shape: tuple[int, ...]) -> Array:
    """Unit noise [B, h, w, c] float32; image i's, of shape [h, w, c], depends on keys[i] alone."""
    return noise_of(keys, INITIAL_NOISE, shape)


@partial(jax.jit, static_argnames=("size", "method"))
def enlarged(images: Array, size: tuple[int, int], method: str) -> Array:
    """Images or latents [B, h, w, c] float32 in a size (height, width) that is not smaller.

    Args:
      images: see above.
      size: static.
      method: "bilinear", PyTorch's `interpolate` without aligned corners; "lanczos3", Pillow's
        `LANCZOS` before rounding.
    """
    return jax.image.resize(images, (len(images), *size, images.shape[-1]), method)


@partial(jax.jit, static_argnames=("network", "mesh"))
def upscaled(network: UpscalerNetwork, mesh: Mesh | None, params: Params, images: Array) -> Array:
    """Images [B, h, w, 3] in [0, 1], enlarged by a network of `jaxsd.models.upscalers`.

    Args:
      network: static.
      mesh: static; each of its devices has the whole network.
      params: of the network.
      images: see above.

    Returns:
      [B, scale h, scale w, 3] float32 in [0, 1].
    """

    def run(params: Params, images: Array) -> Array:
        return jnp.clip(network.apply({"params": params}, images), 0, 1)

    return per_device(mesh, run, (EVERYWHERE, IMAGES), IMAGES)(params, images)


@partial(jax.jit, static_argnames="networks")
def draw(networks: Networks, params: Params, given: Given, runs: tuple[Step, ...]) -> Drawing:
    """Encodes, denoises and decodes in one program.

    Args:
      networks: static.
      params: of all networks.
      given: the request.
      runs: the rows of the tables with their columns, leaves [S, B, ...]. Each run is a separate
        loop with its own number of branches.
    """

    def run(params: Params, given: Given, runs: tuple[Step, ...]) -> Drawing:
        conditions, state = _encode(networks, params, given)
        finite = []
        for steps in runs:
            state = state._replace(memory={})
            state, ok = rows_run(networks, params, steps, conditions, state, given.keys)
            finite.append(ok)
        latents = state.samples[:, 0]
        return Drawing(decoded(networks, params, latents), latents, jnp.concatenate(finite))

    in_specs = (param_specs(params, networks.mesh), IMAGES, IMAGES_SECOND)
    return per_device(networks.mesh, run, in_specs, DRAWING)(params, given, runs)


@partial(jax.jit, static_argnames="networks")
def encode(networks: Networks, params: Params, given: Given) -> tuple[Conditions, State]:
    """The first part of `draw`: encodes texts and pictures, and makes the state before row 0."""
    in_specs = (param_specs(params, networks.mesh), IMAGES)
    run = per_device(networks.mesh, partial(_encode, networks), in_specs, (IMAGES, IMAGES))
    return run(params, given)


@partial(jax.jit, static_argnames="networks")
def denoise(
    networks: Networks,
    params: Params,
    steps: Step,
    conditions: Conditions,
    state: State,
    keys: Array,
) -> tuple[State, Array]:
    """The middle part of `draw`: any number of rows of one run, leaves [S, B, ...].

    Before the first rows of a run the memory in `state` is empty.

    Returns:
      The state after them, and [S, B] bool, see `advance`.
    """
    specs = param_specs(params, networks.mesh)
    in_specs = (specs, IMAGES_SECOND, IMAGES, IMAGES, IMAGES)
    out_specs = (IMAGES, IMAGES_SECOND)
    run = per_device(networks.mesh, partial(rows_run, networks), in_specs, out_specs)
    return run(params, steps, conditions, state, keys)


@partial(jax.jit, static_argnames="networks")
def decode(networks: Networks, params: Params, latents: Array) -> Array:
    """The last part of `draw`: scaled latents to images."""
    in_specs = (param_specs(params, networks.mesh), IMAGES)
    return per_device(networks.mesh, partial(decoded, networks), in_specs, IMAGES)(params, latents)


@partial(jax.jit, static_argnames="networks")
def encode_images(networks: Networks, params: Params, images: Array) -> Array:
    """Images [B, H, W, 3] in [-1, 1] to scaled latents, the mean of the posterior."""
    in_specs = (param_specs(params, networks.mesh), IMAGES)
    return per_device(networks.mesh, partial(mean_of, networks), in_specs, IMAGES)(params, images)


@partial(jax.jit, static_argnames="network")
def fused(network: PhotoMaker, params: Params, tokens: Array, images: Array) -> Array:
    """Tokens [B, d] of words, fused with pictures [B, s, s, 3]; on one device."""
    return network.apply({"params": params}, tokens, images)


@partial(jax.jit, static_argnames="networks")
def seen(networks: Networks, params: Params, images: Array) -> VisionOutput:
    """What a CLIP sees in pictures [B, s, s, 3], preprocessed as for it; on one device."""
    return networks.vision.apply({"params": params["vision"]}, images)


@partial(jax.jit, static_argnames="networks")
def pooled_texts(networks: Networks, params: Params, ids: Array) -> Array:
    """Token ids [B, L] to the last text encoder's vectors of whole texts, [B, p]; on one device."""
    return networks.text[-1].apply({"params": params["text"][-1]}, ids).pooled


def _encode(networks: Networks, params: Params, given: Given) -> tuple[Conditions, State]:
    texts = given.texts
    if isinstance(texts, Texts):
        texts = encoded_texts(networks, params, texts)
    context, pooled = texts
    source = given.source
    if given.image is not None:
        source = latents_of(networks, params, given.image, given.keys, draws=given.draws)
    beginning = Beginning(given.noise, given.keys, source, given.draws)
    held = {
        name: FEATURES[name].hold(networks, params, own, beginning)
        for name, own in given.features.items()
    }
    conditions = Conditions(context, pooled, given.time_ids, given.guidance, held)
    return conditions, begin(given.start, given.noise, source)


def rows_run(
    networks: Networks,
    params: Params,
    steps: Step,
    conditions: Conditions,
    state: State,
    keys: Array,
    remat: bool = False,
) -> tuple[State, Array]:
    """`denoise` on a device's own images; see `advance` for `remat`."""
    network, begun, hooks = of_loop(networks, params, steps, conditions, state)
    state = state._replace(memory=begun | state.memory)
    steps = with_times(networks, params, steps, conditions)
    return advance(steps, network, state, keys, remat=remat, **hooks)


def of_loop(
    networks: Networks, params: Params, steps: Step, conditions: Conditions, state: State
) -> tuple[Network, Memory, dict[str, Hook]]:
    """What `advance` takes: the guided network with features, their memory, and hooks."""
    names = present(conditions, steps)
    branches = steps.columns["which"].shape[-1]
    network = guided(
        wrapped(names, networks, params, conditions),
        conditions,
        combined(names, conditions),
        embeds_guidance=networks.unet.config.guidance_dim is not None,
    )
    network = around(names, conditions, network)
    begun = remembered(names, networks, state.samples[:, 0], branches)
    return network, begun, {"on_x0": on_x0(names), "on_sample": on_sample(names, conditions)}
