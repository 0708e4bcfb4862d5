"""ControlNet (Zhang et al. 2023): a trained copy of a U-Net's encoder half that sees an image."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from jaxsd.config import ControlNetConfig
from jaxsd.models.controlnet_union import KindNetwork
from jaxsd.models.unet import Residuals, embed_time, encode
from jaxsd.nn.convolution import Pointwise, convolution
from jaxsd.types import Array, Params

HINT = "controlnet_cond_embedding"
_COPIED = ("conv_in", "add_embedding", "down_blocks_", "mid_block")


class Hint(NamedTuple):
    """Pictures for a run of a ControlNet-Union."""

    images: tuple[Array, ...]  # N of [B, H, W, 3] in [0, 1]
    kinds: Array  # [B, N] int32, below `ControlNetConfig.kinds`
    weights: Array | None = None  # [B, N] float32, of several pictures; else it is of the results


class Seen(NamedTuple):
    """What a drawing holds of a picture."""

    hint: Array  # [B, h, w, c], what is added to the latents' features
    time: Array | None = None  # [B, time_dim], what is added to the time


class HintNetwork(nn.Module):
    """Makes features of the size of latents from an image (equation 4).

    The last convolution is initialised to zero, so that at first the image has no effect.

    Attributes:
      widths: widths of the convolutions; all but the first halve height and width.
      channels: channels of the features.
    """

    widths: tuple[int, ...]
    channels: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, image: Array) -> Array:
        """[B, H, W, C] in [0, 1] -> [B, h, w, channels]."""
        h = image.astype(self.dtype)
        h = nn.silu(convolution(self.widths[0], "conv_in", self.dtype)(h))
        for i, width in enumerate(self.widths[1:]):
            h = nn.silu(convolution(h.shape[-1], f"blocks_{2 * i}", self.dtype)(h))
            h = nn.silu(convolution(width, f"blocks_{2 * i + 1}", self.dtype, stride=2)(h))
        zeros = nn.initializers.zeros
        return convolution(self.channels, "conv_out", self.dtype, kernel_init=zeros)(h)


class ControlNet(nn.Module):
    """Computes from an image what is added inside a U-Net.

    Every output goes through a convolution that is initialised to zero, so that training begins
    with the U-Net as it is (equations 2 and 3).

    Attributes:
      remat: as in `UNet`.
    """

    config: ControlNetConfig
    dtype: jnp.dtype = jnp.float32
    remat: str = "none"

    @property
    def hint_network(self) -> HintNetwork:
        """The network that reads the image, as a separate module; its weights lie at `HINT`."""
        first = self.config.unet.levels[0].channels
        return HintNetwork(self.config.hint_channels, first, self.dtype, parent=None)

    def seen(self, params: Params, given: Array | Hint) -> Seen:
        """What a drawing holds of pictures [B, H, W, 3] in [0, 1]."""
        read = partial(self.hint_network.apply, {"params": params[HINT]})
        if not isinstance(given, Hint):
            return Seen(read(given))
        features = tuple(map(read, given.images))
        if given.weights is not None:
            weights = given.weights.astype(self.dtype)
            pairs = zip(weights.T, features, strict=True)
            features = tuple(own[:, None, None, None] * seen for own, seen in pairs)
        network = KindNetwork(self.config, self.dtype, parent=None)
        return Seen(*network.apply({"params": params}, features, given.kinds, given.weights))

    @nn.compact
    def __call__(
        self,
        x: Array,
        timestep: Array,
        context: Array,
        condition: Array | None = None,
        pooled: Array | None = None,
        time_ids: Array | None = None,
        hint: Array | None = None,
        added_time: Array | None = None,
    ) -> Residuals:
        """Runs the network.

        Args:
          x: [B, h, w, in_channels] float32 latents, what the U-Net gets.
          timestep: [] or [B], training steps 0..999; may be fractional.
          context: [B, L, context_dim] text.
          condition: [B, 8h, 8w, 3] in [0, 1], the image (edges, depth, a pose...).
          pooled: [B, pooled_dim] pooled text, for models with `added` conditions.
          time_ids: [B, n] float32, as for the U-Net.
          hint: [B, h, w, c], output of `hint_network` for the image, in place of `condition`, so
            that it does not run in every step.
          added_time: [B, time_dim] added to the time embedding, of a ControlNet-Union.

        Returns:
          What the U-Net takes as `residuals`, float32.
        """
        config, dtype = self.config.unet, self.dtype
        scale, first = self.config.downscale, config.levels[0].channels
        x, context = x.astype(dtype), context.astype(dtype)
        conditions = {"pooled": pooled, "time_ids": time_ids}
        time = embed_time(config, dtype, timestep, x.shape[0], **conditions)
        if added_time is not None:
            time = time + added_time

        x = convolution(first, "conv_in", dtype)(x)
        if hint is None:
            assert condition.shape[:3] == (x.shape[0], scale * x.shape[1], scale * x.shape[2]), (
                f"a condition {condition.shape} is not {scale} times as large as latents {x.shape}"
            )
            hint = HintNetwork(self.config.hint_channels, first, dtype, name=HINT)(condition)
        x = x + hint
        skips, mid = encode(config, dtype, self.remat, x, nn.silu(time), context)
        down = [
            _zero_convolution(skip, f"controlnet_down_blocks_{i}", dtype)
            for i, skip in enumerate(skips)
        ]
        return Residuals(tuple(down), _zero_convolution(mid, "controlnet_mid_block", dtype))


def _zero_convolution(x: Array, name: str, dtype: jnp.dtype) -> Array:
    """[B, h, w, c] -> the same in float32, through a 1x1 convolution initialised to zero."""
    zeros = nn.initializers.zeros
    return Pointwise(x.shape[-1], dtype, kernel_init=zeros, name=name)(x).astype(jnp.float32)


def controlnet_from_unet(config: ControlNetConfig, unet_params: Params, key: Array) -> Params:
    """The weights that training begins with (section 3.1): the U-Net's, zeros and random ones.

    Args:
      config: config of the ControlNet; its `unet` is that of the weights.
      unet_params: the U-Net's tree. Its arrays are copied, so that either tree may be donated.
      key: consumed, for random weights of the network that reads the image.

    Returns:
      A tree for `ControlNet`, float32.
    """
    first, side = config.unet.levels[0].channels, config.downscale
    image = jnp.zeros((1, side, side, config.condition_channels))
    hint = HintNetwork(config.hint_channels, first, jnp.float32).init(key, image)["params"]
    zeros = {
        f"controlnet_down_blocks_{i}": _zeros(channels)
        for i, channels in enumerate(config.unet.skip_channels)
    }
    zeros["controlnet_mid_block"] = _zeros(config.unet.levels[-1].channels)
    half = encoder_half(unet_params)
    copied = jax.tree.map(lambda leaf: jnp.array(leaf, jnp.float32), half)
    return copied | zeros | {HINT: hint}


def encoder_half(unet_params: Params) -> Params:
    """The part of a U-Net's tree that a ControlNet has too, under the same paths; not copied."""
    time = unet_params["time_embedding"]
    half = {name: tree for name, tree in unet_params.items() if name.startswith(_COPIED)}
    # Without `cond_proj`: a ControlNet does not take the guidance scale.
    return half | {"time_embedding": {name: time[name] for name in ("linear_1", "linear_2")}}


def _zeros(channels: int) -> Params:
    """Weights of a 1x1 convolution that gives zero."""
    return {"kernel": jnp.zeros((1, 1, channels, channels)), "bias": jnp.zeros(channels)}
