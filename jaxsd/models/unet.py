"""The denoising U-Net (Rombach et al. 2022; Podell et al. 2023 for XL's conditions)."""

from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
from flax import linen as nn

from jaxsd.config import Level, UNetConfig
from jaxsd.models.remat import rematerialised
from jaxsd.nn.activations import silu
from jaxsd.nn.convolution import SMALL, Downsample, Upsample, convolution
from jaxsd.nn.embeddings import TimestepEmbedding, guidance_sinusoids, sinusoids
from jaxsd.nn.layers import Embed
from jaxsd.nn.normalization import group_norm
from jaxsd.nn.products import Shared, shared
from jaxsd.nn.resnet import ResnetBlock
from jaxsd.nn.transformer import WHOLE, SpatialTransformer
from jaxsd.types import Array

OF_TIME, OF_TEXT, OF_SELF = ".*/time_emb_proj", ".*/attn2/to_[kv]", "(.*/attn1)/to_[qkv]"
"""Layers whose input is the time, the text, or the same, as `jaxsd.nn.products` may join them."""

Told = Array | Shared
"""Time or text, an input of many layers."""


class Residuals(NamedTuple):
    """What a ControlNet adds to a U-Net, float32."""

    down: tuple[Array, ...]  # [B, h_i, w_i, c_i], one for every skip, in the order they are made
    mid: Array  # [B, h, w, c], for the output of the mid block


class DownBlock(nn.Module):
    """One level on the way down. Every resnet's output, and the downsampled one, is a skip."""

    level: Level
    groups: int
    downsample: bool
    dtype: jnp.dtype
    remat: str = "none"

    @nn.compact
    def __call__(self, x: Array, time: Told, context: Told) -> tuple[Array, list[Array]]:
        """[B, h, w, c] -> the next level's input, and the skips."""
        level, skips = self.level, []
        for i in range(level.resnets):
            x = _resnet(self, i)(x, time)
            if level.attention_depth:
                x = _transformer(self, i)(x, context)
            skips.append(x)
        if self.downsample:
            x = Downsample(level.channels, (1, 1), self.dtype, name="downsamplers_0")(x)
            skips.append(x)
        return x, skips


class MidBlock(nn.Module):
    """Resnet, transformer, resnet at the lowest resolution."""

    level: Level
    groups: int
    dtype: jnp.dtype
    remat: str = "none"

    @nn.compact
    def __call__(self, x: Array, time: Told, context: Told) -> Array:
        """[B, h, w, c] -> [B, h, w, c]."""
        x = _resnet(self, 0)(x, time)
        x = _transformer(self, 0)(x, context)
        return _resnet(self, 1)(x, time)


class UpBlock(nn.Module):
    """One level on the way up. Each resnet takes a skip; the last output is enlarged to `size`."""

    level: Level
    groups: int
    dtype: jnp.dtype
    remat: str = "none"

    @nn.compact
    def __call__(
        self,
        x: Array,
        skips: list[Array],
        time: Told,
        context: Told,
        size: tuple[int, int] | None,
    ) -> Array:
        """[B, h, w, c] and the skips, last first -> [B, *size, channels] ([h, w] if None)."""
        level = self.level
        for i, skip in enumerate(skips):
            x = _resnet(self, i)(self.join(x, skip), time)
            if level.attention_depth:
                x = _transformer(self, i)(x, context)
        if size is not None:
            x = Upsample(level.channels, self.dtype, name="upsamplers_0")(x, size)
        return x

    def join(self, x: Array, skip: Array) -> Array:
        """[B, h, w, c] and a skip [B, h, w, d] -> [B, h, w, c + d]; features may intercept it."""
        return jnp.concatenate([x, skip], axis=-1)


class UNet(nn.Module):
    """Predicts noise, velocity or sample from noisy latents, a timestep and a text.

    Attributes:
      dtype: dtype to compute in.
      remat: a name of `jaxsd.models.remat.REMAT`, what resnets and transformers keep for gradients.
    """

    config: UNetConfig
    dtype: jnp.dtype = jnp.float32
    remat: str = "none"

    def __call__(
        self,
        x: Array,
        timestep: Array,
        context: Array,
        pooled: Array | None = None,
        time_ids: Array | None = None,
        guidance: Array | None = None,
        residuals: Residuals | None = None,
        label: Array | None = None,
    ) -> Array:
        """Runs the network.

        Args:
          x: [B, h, w, in_channels] float32 latents (with mask and masked latents when inpainting).
          timestep: [] or [B], training steps 0..999; may be fractional.
          context: [B, L, context_dim] text.
          pooled: [B, pooled_dim] pooled text, for models with `added` conditions.
          time_ids: [B, n] float32, such as original height, width, crop top, left, height, width.
          guidance: [B] float32 guidance scale, for models with `guidance_dim`.
          residuals: of a ControlNet, or the sum of several; None where there is none.
          label: [B] int32, level of the noise in the small picture, for models with
            `noise_levels`; or [B, label_dim] float32.

        Returns:
          [B, h, w, out_channels] float32.
        """
        conditions = {"pooled": pooled, "time_ids": time_ids, "guidance": guidance, "label": label}
        return self.around(None, x, timestep, context, **conditions, residuals=residuals)[0]

    @nn.compact
    def around(
        self,
        deep: Array | None,
        x: Array,
        timestep: Array,
        context: Array,
        pooled: Array | None = None,
        time_ids: Array | None = None,
        guidance: Array | None = None,
        residuals: Residuals | None = None,
        label: Array | None = None,
        times: dict[str, Array] | None = None,
    ) -> tuple[Array, Array]:
        """Runs the network, or only its outermost level around deep features of an earlier call.

        These change little from step to step (Ma et al. 2024, DeepCache, section 3.3).

        Args:
          deep: [B, h, w, config.deep_channels] in `dtype`, the second result of an earlier call;
            None to compute it.
          x: this and the others as in `__call__`.
          times: what `jaxsd.models.times` has for these timesteps and conditions, in their place.

        Returns:
          The result of `__call__`, and the deep features: the last up block's input.
        """
        config, dtype, remat = self.config, self.dtype, self.remat
        x, context = x.astype(dtype), context.astype(dtype)
        batch, conditions = x.shape[0], {"pooled": pooled, "time_ids": time_ids}
        conditions |= {"guidance": guidance, "label": label}
        if times is not None:
            time = Shared(None, times)
        else:
            time = silu(embed_time(config, dtype, timestep, batch, **conditions))
        if deep is None and not WHOLE.get():
            context = shared(self, context, OF_TEXT)
            time = shared(self, time, OF_TIME) if times is None else time

        x = convolution(config.levels[0].channels, "conv_in", dtype)(x)
        if deep is None:
            skips, x = encode(config, dtype, remat, x, time, context)
        else:
            skips, _ = descend(config, dtype, remat, x, time, context, 1)
        if residuals is not None:
            down = zip(skips, residuals.down, strict=deep is None)
            skips = [skip + residual.astype(dtype) for skip, residual in down]
        levels = range(len(config.levels))
        ascended = partial(ascend, config, dtype, remat, skips, time, context)
        if deep is None:
            x = x if residuals is None else x + residuals.mid.astype(dtype)
            deep = ascended(x, levels[:-1])
        x = ascended(deep, levels[-1:])

        x = silu(group_norm(config.norm_groups, 1e-5, "conv_norm_out", dtype)(x))
        x = convolution(config.out_channels, "conv_out", dtype, kernel_init=SMALL)(x)
        return x.astype(jnp.float32), deep


def embed_time(
    config: UNetConfig,
    dtype: jnp.dtype,
    timestep: Array,
    batch: int,
    *,
    pooled: Array | None,
    time_ids: Array | None,
    guidance: Array | None = None,
    label: Array | None = None,
) -> Array:
    """The time embedding [B, time_dim], with guidance, label and micro-conditions for models with
    them.

    Its layers belong to the module that calls it, as in `encode`.
    """
    timestep = jnp.broadcast_to(jnp.asarray(timestep, jnp.float32), (batch,))
    wave = sinusoids(timestep, config.levels[0].channels).astype(dtype)
    condition = None
    if config.guidance_dim is not None:
        assert guidance is not None, "this model takes a guidance scale"
        condition = guidance_sinusoids(guidance, config.guidance_dim).astype(dtype)
    time = TimestepEmbedding(config.time_dim, dtype, name="time_embedding")(wave, condition)
    if config.noise_levels is not None:
        assert label is not None, "this model takes a noise level"
        table = Embed(config.noise_levels, config.time_dim, dtype=dtype, name="class_embedding")
        time = time + table(label)
    if config.label_dim is not None:
        assert label is not None, "this model takes a label"
        embed = TimestepEmbedding(config.time_dim, dtype, name="class_embedding")
        time = time + embed(label.astype(dtype))
    if config.added is None:
        return time
    assert pooled is not None, "this model takes pooled text"
    assert time_ids is not None, "this model takes time_ids"
    ids = sinusoids(time_ids.reshape(-1), config.added.time_id_dim).reshape(batch, -1)
    added = jnp.concatenate([pooled.astype(jnp.float32), ids], axis=-1).astype(dtype)
    return time + TimestepEmbedding(config.time_dim, dtype, name="add_embedding")(added)


def encode(
    config: UNetConfig, dtype: jnp.dtype, remat: str, x: Array, time: Told, context: Told
) -> tuple[list[Array], Array]:
    """The half of a U-Net after `conv_in` that a ControlNet has too: the way down and the middle.

    Its blocks belong to the module that calls it, so that both have the same paths.

    Args:
      config: config of the U-Net.
      dtype: dtype to compute in.
      remat: as in `UNet`.
      x: [B, h, w, c] output of `conv_in`.
      time: silu of the time embedding, [B, time_dim].
      context: [B, L, context_dim].

    Returns:
      The skips, `x` first, with `config.skip_channels` channels; and the mid block's output.
    """
    skips, x = descend(config, dtype, remat, x, time, context, len(config.levels))
    mid = MidBlock(_mid_level(config), config.norm_groups, dtype, remat, name="mid_block")
    return skips, mid(x, time, context)


def descend(
    config: UNetConfig,
    dtype: jnp.dtype,
    remat: str,
    x: Array,
    time: Told,
    context: Told,
    count: int,
) -> tuple[list[Array], Array]:
    """The skips of the outermost `count` levels on the way down, and the last level's output; see
    `encode`.
    """
    skips = [x]
    for i, level in enumerate(config.levels[:count]):
        groups, name = config.norm_groups, f"down_blocks_{i}"
        block = DownBlock(level, groups, i < count - 1, dtype, remat, name=name)
        x, new = block(x, time, context)
        skips += new
    return skips, x


def ascend(
    config: UNetConfig,
    dtype: jnp.dtype,
    remat: str,
    skips: list[Array],
    time: Told,
    context: Told,
    x: Array,
    blocks: range,
) -> Array:
    """Runs the up blocks of these numbers on `x`; they take their skips from the list's end.

    They belong to the module that calls it.
    """
    for i in blocks:
        level = config.levels[-1 - i]
        taken = [skips.pop() for _ in range(level.resnets + 1)]
        size = skips[-1].shape[1:3] if skips else None
        block = UpBlock(level, config.norm_groups, dtype, remat, name=f"up_blocks_{i}")
        x = block(x, taken, time, context, size)
    return x


def _resnet(block: DownBlock | MidBlock | UpBlock, i: int) -> nn.Module:
    resnet = rematerialised(ResnetBlock, block.remat)
    return resnet(block.level.channels, block.groups, 1e-5, block.dtype, name=f"resnets_{i}")


def _transformer(block: DownBlock | MidBlock | UpBlock, i: int) -> nn.Module:
    transformer, level = rematerialised(SpatialTransformer, block.remat), block.level
    numbers = (level.attention_depth, level.heads, block.groups, block.dtype, level.self_attends)
    return transformer(*numbers, name=f"attentions_{i}")


def _mid_level(config: UNetConfig) -> Level:
    last = config.levels[-1]
    return Level(last.channels, 2, config.mid_depth, last.heads)
