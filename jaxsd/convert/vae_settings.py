"""An autoencoder's config.json, both ways."""

from typing import Any

from jaxsd.config import VAEConfig
from jaxsd.convert.config_fields import Config, number, numbers, refuse_unknown, require

_WANTED: dict[str, Any] = {
    "act_fn": "silu",
    "latents_mean": None,
    "latents_std": None,
    "mid_block_add_attention": True,
    "shift_factor": None,
    "use_post_quant_conv": True,
    "use_quant_conv": True,
}
"""Settings of diffusers' `AutoencoderKL` that have one value in Stable Diffusion."""

_READ = {
    "block_out_channels",
    "down_block_types",
    "force_upcast",  # about float16 only
    "in_channels",
    "latent_channels",
    "layers_per_block",
    "norm_num_groups",
    "out_channels",
    "sample_size",
    "scaling_factor",
    "up_block_types",
}


def vae_config(config: Config, where: str) -> VAEConfig:
    """The numbers of a diffusers `AutoencoderKL`.

    Raises:
      ValueError: naming a setting that the autoencoder here does not have.
    """
    require(config, _WANTED, where)
    refuse_unknown(config, _WANTED.keys() | _READ, where)
    channels = numbers(config, "block_out_channels", where, default=[64])
    images = number(config, "in_channels", where, default=3)
    blocks = {
        "down_block_types": ["DownEncoderBlock2D"] * len(channels),
        "up_block_types": ["UpDecoderBlock2D"] * len(channels),
        "out_channels": images,
    }
    require(config, blocks, where)
    return VAEConfig(
        channels=channels,
        resnets=number(config, "layers_per_block", where, default=1),
        latent_channels=number(config, "latent_channels", where, default=4),
        norm_groups=number(config, "norm_num_groups", where, default=32),
        scaling_factor=float(config.get("scaling_factor", 0.18215)),
        image_channels=images,
    )


def vae_settings(config: VAEConfig, sample_size: int) -> dict[str, Any]:
    """The config.json that makes diffusers build this autoencoder."""
    count = len(config.channels)
    return _WANTED | {
        "_class_name": "AutoencoderKL",
        "block_out_channels": list(config.channels),
        "down_block_types": ["DownEncoderBlock2D"] * count,
        "force_upcast": True,
        "in_channels": config.image_channels,
        "latent_channels": config.latent_channels,
        "layers_per_block": config.resnets,
        "norm_num_groups": config.norm_groups,
        "out_channels": config.image_channels,
        "sample_size": sample_size,
        "scaling_factor": config.scaling_factor,
        "up_block_types": ["UpDecoderBlock2D"] * count,
    }
