"""Tiny models of every family, and weights and inputs that are the same on every machine."""

import collections
import functools
import math
import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from jaxsd import families
from jaxsd.config import (
    AddedConditions,
    ControlNetConfig,
    Level,
    ModelSpec,
    TextConfig,
    TinyVAEConfig,
    UNetConfig,
    VAEConfig,
)
from jaxsd.convert.adapter_parameters import controlnet_parameters
from jaxsd.convert.files.tensors import nested
from jaxsd.convert.layer_shapes import Shapes
from jaxsd.convert.parameters import (
    normalizer_parameters,
    text_parameters,
    tiny_vae_parameters,
    unet_parameters,
    vae_parameters,
    vision_parameters,
)
from jaxsd.types import Array, Params

CLIP_L = TextConfig(
    width=32, layers=3, heads=4, mlp_width=64, activation="quick_gelu", vocab_size=99, pad_token=98
)
OPENCLIP_H = replace(CLIP_L, width=40, heads=5, activation="gelu", pad_token=0)
OPENCLIP_BIGG = replace(OPENCLIP_H, width=48, heads=4, hidden_layer=-2, projection_dim=24)

VAE_TINY = VAEConfig(channels=(16, 16, 32, 32), resnets=1, norm_groups=8)

SD1_UNET = UNetConfig(
    levels=(Level(32, 2, 1, 4), Level(64, 2, 0, 4)), context_dim=32, mid_depth=1, norm_groups=8
)
SD2_UNET = replace(
    SD1_UNET,
    levels=(Level(32, 1, 1, 2), Level(64, 1, 1, 4), Level(64, 1, 0, 8)),
    context_dim=40,
)
XL_UNET = UNetConfig(
    levels=(Level(32, 1, 0, 2), Level(64, 1, 1, 4), Level(64, 1, 2, 8)),
    context_dim=80,
    mid_depth=2,
    norm_groups=8,
    added=AddedConditions(pooled_dim=24, time_ids=6, time_id_dim=16),
)
REFINER_UNET = UNetConfig(
    levels=(Level(32, 1, 0, 2), Level(48, 1, 2, 3), Level(64, 1, 0, 8)),
    context_dim=48,
    mid_depth=2,
    norm_groups=8,
    added=AddedConditions(pooled_dim=24, time_ids=5, time_id_dim=16),
)
SMALL_UNET = replace(SD1_UNET, levels=(Level(32, 1, 1, 4), Level(64, 1, 0, 4)))
X4_UNET = replace(
    SMALL_UNET,
    levels=(Level(32, 1, 1, 4, self_attends=False), Level(64, 1, 1, 4)),
    in_channels=7,
    noise_levels=30,
)
EMOJI_UNET = UNetConfig(
    levels=(Level(32, 1, 1, 2), Level(48, 1, 1, 3), Level(64, 1, 1, 4)),
    context_dim=32,
    mid_depth=1,
    norm_groups=16,
)


def _tiny(spec: ModelSpec, unet: UNetConfig, *text: TextConfig) -> ModelSpec:
    own = spec.vae
    same = ("scaling_factor", "force_upcast", "latents_mean", "latents_std")
    vae = replace(VAE_TINY, **{name: getattr(own, name) for name in same})
    return replace(spec, unet=unet, vae=vae, text=text, default_size=64)


TINY: dict[str, ModelSpec] = {
    "sd1": _tiny(families.SD1, SD1_UNET, CLIP_L),
    "sd2": _tiny(families.SD2, SD2_UNET, OPENCLIP_H),
    "sd2-v": _tiny(families.SD2_V, SD2_UNET, OPENCLIP_H),
    "sdxl": _tiny(families.SDXL, XL_UNET, replace(CLIP_L, hidden_layer=-2), OPENCLIP_BIGG),
    "sdxl-refiner": _tiny(families.SDXL_REFINER, REFINER_UNET, OPENCLIP_BIGG),
    "sd1-inpainting": _tiny(
        families.inpainting(families.SD1),
        replace(SMALL_UNET, in_channels=9),
        CLIP_L,
    ),
    "lcm": replace(
        _tiny(families.SD1, replace(SMALL_UNET, guidance_dim=20), CLIP_L), guidance_scale=8.5
    ),
    "emoji": _tiny(families.SD1, EMOJI_UNET, CLIP_L),
}

CONTROLNETS: dict[str, ControlNetConfig] = {
    family: ControlNetConfig(TINY[family].unet, hint_channels=(4, 6, 8, 12))
    for family in ("sd1", "sd2", "sdxl")
}


BAND = 1 << 16
"""Values that are made at once: few enough to stay in a processor's cache."""


MANY = 1 << 20
"""Random weights of a kernel, at most; those of larger ones repeat themselves."""


def uniform(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Values of mean 0 and variance 1 that depend on the name alone.

    NumPy promises the raw stream of a bit generator for ever, unlike its distributions.
    """
    stream = np.random.PCG64(zlib.crc32(name.encode()))
    values = np.empty(math.prod(shape), np.float32)
    for first in range(0, values.size, BAND):
        part = values[first : first + BAND]
        unit = (stream.random_raw(part.size) >> np.uint64(11)).astype(np.float64)
        unit *= 2.0**-52
        unit -= 1
        part[:] = np.multiply(unit, 3**0.5, out=unit)
    return values.reshape(shape)


def random_params(abstract: Params, prefix: str = "") -> Params:
    """Weights for a tree of shapes: unit gain, and no bias or scale left at its default."""
    tree: Params = {}
    for name, value in abstract.items():
        path = f"{prefix}/{name}"
        if isinstance(value, dict):
            tree[name] = random_params(value, path)
            continue
        draw = np.resize(uniform(path, (min(value.size, MANY),)), value.shape)
        fan_in = int(np.prod(value.shape[:-1]))
        own = {"kernel": fan_in**-0.5, "bias": 0.2, "scale": 0.2, "std": 0.2}
        gain = own.get(name, 0.5)  # of embeddings
        draw *= np.float32(gain)
        draw += np.float32(name in ("scale", "std"))
        tree[name] = draw
    return tree


def token_ids(config: TextConfig, batch: int = 3) -> np.ndarray:
    """Prompts [B, L] that end at different places, padded as the family pads."""
    ids = np.full((batch, config.max_length), config.pad_token, np.int32)
    for row, length in zip(ids, (0, 5, config.max_length - 2), strict=False):
        words = uniform(f"words{length}", (length,)) * 20 + 45
        end = config.vocab_size - 1
        row[0], row[1 : length + 1], row[length + 1] = end - 1, words.astype(np.int32), end
    return ids


def unet_inputs(
    config: UNetConfig, batch: int = 2, size: tuple[int, int] = (9, 7), tokens: int = 11
) -> dict[str, np.ndarray]:
    """Keyword arguments of a U-Net, different for every image of the batch.

    The sides are odd: at a level below, an upsampled pixel more than the skip connection has.
    """
    inputs = {
        "x": uniform("latents", (batch, *size, config.in_channels)),
        "timestep": np.linspace(981.0, 1.0, batch, dtype=np.float32),
        "context": uniform("context", (batch, tokens, config.context_dim)),
    }
    if config.added is not None:
        ids = [1024, 768, 0, 12, 1080, 6][: config.added.time_ids]
        inputs["pooled"] = uniform("pooled", (batch, config.added.pooled_dim))
        inputs["time_ids"] = np.float32([ids] * batch) + np.arange(batch, dtype=np.float32)[:, None]
    if config.guidance_dim is not None:
        # Small: float32 holds the angle, 1000 * (guidance - 1), to a ten-millionth of itself only.
        inputs["guidance"] = np.linspace(1.5, 1.0, batch, dtype=np.float32)
    if config.noise_levels is not None:
        inputs["label"] = np.arange(batch, dtype=np.int32)
    return inputs


def tree_of(shapes: Shapes) -> Params:
    """A tree of shapes for a table of them."""
    leaves = ((path, jax.ShapeDtypeStruct(shape, jnp.float32)) for path, shape in shapes.items())
    return nested(leaves)


def abstract_unet(config: UNetConfig) -> Params:
    """Shapes of a U-Net's parameters, from the table that `test_parameters.py` checks."""
    return tree_of(unet_parameters(config))


def controlnet_inputs(
    config: ControlNetConfig, batch: int = 2, size: tuple[int, int] = (9, 7)
) -> dict[str, np.ndarray]:
    """Keyword arguments of a ControlNet: the U-Net's, and an image for each of the batch."""
    sides = [config.downscale * side for side in size]
    image = uniform("condition", (batch, *sides, config.condition_channels))
    half = np.float32(0.5)
    return unet_inputs(config.unet, batch, size) | {"condition": image * half / 3**half + half}


def abstract_controlnet(config: ControlNetConfig) -> Params:
    """Shapes of a ControlNet's parameters."""
    return tree_of(controlnet_parameters(config))


def controlnet_params(config: ControlNetConfig) -> Params:
    """Weights of a ControlNet, not those of its U-Net and nowhere zero."""
    return random_params(abstract_controlnet(config), "controlnet")


def abstract_vae(config: VAEConfig | TinyVAEConfig) -> Params:
    """Shapes of an autoencoder's parameters."""
    table = tiny_vae_parameters if isinstance(config, TinyVAEConfig) else vae_parameters
    return tree_of(table(config))


def abstract_text(config: TextConfig) -> Params:
    """Shapes of a text encoder's parameters."""
    return tree_of(text_parameters(config))


def pipeline_params(spec: ModelSpec) -> Params:
    """Weights of all networks of a model."""
    params = {
        "unet": random_params(abstract_unet(spec.unet)),
        "vae": random_params(abstract_vae(spec.vae)),
        "text": [random_params(abstract_text(config)) for config in spec.text],
    }
    if spec.sight is not None:
        params["vision"] = random_params(tree_of(vision_parameters(spec.sight.vision)))
        if spec.sight.noise is not None:
            width = spec.sight.vision.projection_dim
            params["normalizer"] = random_params(tree_of(normalizer_parameters(width)))
    return params


def relative_error(got: Array, want: Array) -> float:
    """Largest difference over the largest value."""
    got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
    assert got.shape == want.shape, f"{got.shape} is not {want.shape}"
    return float(np.abs(got - want).max() / np.abs(want).max())


def apply(network: nn.Module, params: Params, method: str | None = None, **inputs: Array) -> Any:
    """Runs a network on a tree. What was compiled for another test is used again."""
    return compiled(network, method)(params, inputs)


@functools.cache
def compiled(network: nn.Module, method: str | None = None) -> Callable[[Params, Params], Any]:
    """A network as a jitted function of parameters and keyword arguments.

    `TRACES` counts how often it was traced.
    """

    def run(params: Params, inputs: Params) -> Any:
        TRACES[network] += 1
        return network.apply({"params": params}, method=method, **inputs)

    return jax.jit(run)


TRACES: collections.Counter[nn.Module] = collections.Counter()
