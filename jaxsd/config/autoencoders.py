"""Autoencoders."""

import math
from dataclasses import dataclass

import numpy as np

from jaxsd.config.ranges import WIDEST, check_divides, check_levels, check_range
from jaxsd.types import Array


@dataclass(frozen=True)
class VAEConfig:
    """An autoencoder. Latents are multiplied by `scaling_factor` after encoding.

    `latents_mean` and `latents_std` are a number of each latent channel, which stand for 0 and 1
    before that (Playground 2.5); they are empty for most.
    `force_upcast` is for those whose activations are too large for float16, such as XL's: where
    float16 is asked for, they compute in float32.
    """

    channels: tuple[int, ...]
    resnets: int = 2
    latent_channels: int = 4
    norm_groups: int = 32
    scaling_factor: float = 0.18215
    image_channels: int = 3
    force_upcast: bool = False
    latents_mean: tuple[float, ...] = ()
    latents_std: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Checks the numbers."""
        check_levels(len(self.channels))
        check_range(self, WIDEST, "channels", "latent_channels", "norm_groups", "image_channels")
        check_range(self, 16, "resnets")
        check_divides("norm_groups", self.norm_groups, "channels", self.channels)
        if not 0 < self.scaling_factor < math.inf:
            raise ValueError(f"scaling_factor = {self.scaling_factor!r} is not above 0 and finite")
        _check_statistics(self)

    @property
    def downscale(self) -> int:
        """Pixels per latent along one side."""
        return 2 ** (len(self.channels) - 1)


@dataclass(frozen=True)
class TinyVAEConfig:
    """A tiny autoencoder (TAESD), for latents as the U-Net has them.

    Attributes:
      channels: width of every layer.
      encoder_blocks: residual blocks at each size, the largest first.
      decoder_blocks: likewise, the smallest first.
    """

    channels: int = 64
    encoder_blocks: tuple[int, ...] = (1, 3, 3, 3)
    decoder_blocks: tuple[int, ...] = (3, 3, 3, 1)
    latent_channels: int = 4
    image_channels: int = 3
    scaling_factor: float = 1.0

    def __post_init__(self) -> None:
        """Checks the numbers."""
        check_levels(len(self.encoder_blocks))
        check_range(self, WIDEST, "channels", "latent_channels", "image_channels")
        check_range(self, 64, "encoder_blocks", "decoder_blocks", least=0)
        if len(self.decoder_blocks) != len(self.encoder_blocks):
            raise ValueError(
                f"decoder_blocks = {list(self.decoder_blocks)} has not as many levels as "
                f"encoder_blocks = {list(self.encoder_blocks)}"
            )

    @property
    def downscale(self) -> int:
        """Pixels per latent along one side."""
        return 2 ** (len(self.encoder_blocks) - 1)


def scaled(vae: VAEConfig | TinyVAEConfig, latents: Array) -> Array:
    """What the U-Net has for an autoencoder's own latents [B, h, w, c]."""
    if isinstance(vae, VAEConfig) and vae.latents_std:
        mean, std = _statistics(vae)
        return (latents - mean) * (vae.scaling_factor / std)
    return latents * vae.scaling_factor


def unscaled(vae: VAEConfig | TinyVAEConfig, latents: Array) -> Array:
    """An autoencoder's own latents for those of the U-Net [B, h, w, c]."""
    if isinstance(vae, VAEConfig) and vae.latents_std:
        mean, std = _statistics(vae)
        return latents * (std / vae.scaling_factor) + mean
    return latents / vae.scaling_factor


def _statistics(vae: VAEConfig) -> tuple[np.ndarray, np.ndarray]:
    mean, std = np.float32([vae.latents_mean, vae.latents_std])
    return mean.reshape(1, 1, 1, -1), std.reshape(1, 1, 1, -1)


def _check_statistics(vae: VAEConfig) -> None:
    for name, least in (("latents_mean", -math.inf), ("latents_std", 0)):
        values = getattr(vae, name)
        if len(values) != len(vae.latents_std) or len(values) not in (0, vae.latent_channels):
            raise ValueError(
                f"{name} = {list(values)!r} is not a number for each of {vae.latent_channels} "
                "channels, as latents_mean and latents_std are"
            )
        if not all(least < value < math.inf for value in values):
            raise ValueError(f"{name} = {list(values)!r} has numbers that can not be")
