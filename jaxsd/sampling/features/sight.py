"""Models that draw variations of a picture, by what CLIP sees in it.

unCLIP (Ramesh et al. 2022) adds the embedding, with noise, to the time; image variations give it to
cross-attention in place of a text.
"""

from typing import NamedTuple

import jax.numpy as jnp

from jaxsd.nn.embeddings import sinusoids
from jaxsd.parallel import gather
from jaxsd.sampling.call import Answer, Call, Networks, UNetCall, chosen
from jaxsd.sampling.features.feature import Beginning, Feature
from jaxsd.sampling.latents import EMBEDDING, noise_of
from jaxsd.sampling.loop import Memory, Step, per_image
from jaxsd.types import Array, Params


class Noising(NamedTuple):
    """Noise for an embedding."""

    weights: Array  # [B, 2] float32, of the embedding and the noise
    level: Array  # [B] float32, what the U-Net is told of it


class Sight(NamedTuple):
    """Given are pictures; held is what the U-Net is told of none and of them, [B, 2, ...]."""

    seen: Array  # [B, s, s, 3] float32, preprocessed as for CLIP
    negatives: Array  # [B] int32, how many of an image's texts, the first ones, are negative
    noising: Noising | None  # None where the embedding takes the place of a text


class Labels(NamedTuple):
    """What the U-Net is told beside each text, made elsewhere."""

    labels: Array  # [B, M, 2d] float32


def hold(
    networks: Networks, params: Params, given: Sight | Labels, beginning: Beginning
) -> Sight | Labels:
    """The embeddings [B, d] as contexts [B, 2, 1, d], or noised and with their level [B, 2, 2d]."""
    if isinstance(given, Labels):
        return given
    tree = gather(params["vision"], "vision", networks.mesh)
    told = networks.vision.apply({"params": tree}, given.seen).embedding
    if given.noising is None:
        told = told[:, None]
    else:
        (weights, level), width = given.noising, told.shape[-1]
        mean, std = (params["normalizer"][name].astype(jnp.float32) for name in ("mean", "std"))
        noise = noise_of(beginning.keys, EMBEDDING, (width,))
        noised = per_image(weights[:, 0], (told - mean) / std) + per_image(weights[:, 1], noise)
        told = jnp.concatenate([noised * std + mean, sinusoids(level, width)], axis=-1)
    return given._replace(seen=jnp.stack([jnp.zeros_like(told), told], axis=1))


def wrap(networks: Networks, params: Params, held: Sight | Labels, unet: UNetCall) -> UNetCall:
    """Tells the branches of the prompt what is seen, and those of negative prompts zeros."""
    if isinstance(held, Labels):
        return _labelled(held.labels, unet)
    name = "context" if held.noising is None else "label"

    def changed(call: Call, step: Step, memory: Memory) -> tuple[Answer, Memory]:
        shows = (step.columns["which"] >= held.negatives[:, None]).astype(jnp.int32)
        return unet(call._replace(**{name: chosen(held.seen, shows)}), step, memory)

    return changed


def _labelled(labels: Array, unet: UNetCall) -> UNetCall:
    def changed(call: Call, step: Step, memory: Memory) -> tuple[Answer, Memory]:
        return unet(call._replace(label=chosen(labels, step.columns["which"])), step, memory)

    return changed


FEATURE = Feature(hold=hold, wrap=wrap)
