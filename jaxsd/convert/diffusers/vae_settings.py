"""An autoencoder's config.json, read and written."""

from typing import Any

from jaxsd.config import VAEConfig
from jaxsd.convert.diffusers.fields import Config, Fields

_WANTED: dict[str, Any] = {
    "act_fn": "silu",
    "mid_block_add_attention": True,
    "shift_factor": None,
    "use_post_quant_conv": True,
    "use_quant_conv": True,
}
"""Settings of diffusers' `AutoencoderKL` that have one value in Stable Diffusion."""

_IGNORED = {"sample_size"}

_SETTINGS = {
    "channels": "block_out_channels",
    "norm_groups": "norm_num_groups",
    "resnets": "layers_per_block",
}
"""Our names of numbers -> diffusers'."""


def vae_config(config: Config, where: str) -> VAEConfig:
    """The numbers of a diffusers `AutoencoderKL`.

    Raises:
      ValueError: naming a setting that the autoencoder here does not have.
    """
    fields = Fields(config, where)
    fields.require(_WANTED)
    channels = fields.numbers("block_out_channels", default=[64])
    images = fields.number("in_channels", default=3)
    blocks = {
        "down_block_types": ["DownEncoderBlock2D"] * len(channels),
        "up_block_types": ["UpDecoderBlock2D"] * len(channels),
        "out_channels": images,
    }
    fields.require(blocks)
    vae = fields.build(
        VAEConfig,
        _SETTINGS,
        channels=channels,
        resnets=fields.number("layers_per_block", default=1),
        latent_channels=fields.number("latent_channels", default=4),
        norm_groups=fields.number("norm_num_groups", default=32),
        scaling_factor=fields.fraction("scaling_factor", 0.18215),
        image_channels=images,
        force_upcast=fields.switch("force_upcast", default=True),
        latents_mean=fields.reals("latents_mean"),
        latents_std=fields.reals("latents_std"),
    )
    fields.refuse_others(_IGNORED)
    return vae


def vae_settings(config: VAEConfig, sample_size: int) -> dict[str, Any]:
    """The config.json that makes diffusers build this autoencoder."""
    count = len(config.channels)
    return _WANTED | {
        "_class_name": "AutoencoderKL",
        "block_out_channels": list(config.channels),
        "down_block_types": ["DownEncoderBlock2D"] * count,
        "force_upcast": config.force_upcast,
        "in_channels": config.image_channels,
        "latent_channels": config.latent_channels,
        "latents_mean": list(config.latents_mean) or None,
        "latents_std": list(config.latents_std) or None,
        "layers_per_block": config.resnets,
        "norm_num_groups": config.norm_groups,
        "out_channels": config.image_channels,
        "sample_size": sample_size,
        "scaling_factor": config.scaling_factor,
        "up_block_types": ["UpDecoderBlock2D"] * count,
    }
