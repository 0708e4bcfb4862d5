"""A tiny autoencoder's config.json, read and written."""

from typing import Any

from jaxsd.config import TinyVAEConfig
from jaxsd.convert.diffusers.fields import Config, Fields

_WANTED: dict[str, Any] = {
    "act_fn": "relu",
    "latent_magnitude": 3,
    "scaling_factor": 1.0,
    "shift_factor": 0.0,
    "upsample_fn": "nearest",
    "upsampling_scaling_factor": 2,
}
"""Settings of diffusers' `AutoencoderTiny` that have one value for Stable Diffusion."""

_IGNORED = {
    "block_out_channels",  # repeats the decoder's
    "force_upcast",
    "latent_shift",  # about latents kept as pictures
}


def tiny_vae_config(config: Config, where: str) -> TinyVAEConfig:
    """The numbers of a diffusers `AutoencoderTiny`.

    Raises:
      ValueError: naming a setting that the autoencoder here does not have.
    """
    fields = Fields(config, where)
    fields.require(_WANTED)
    encoder = fields.numbers("num_encoder_blocks", default=[1, 3, 3, 3])
    widths = fields.numbers("encoder_block_out_channels", default=[64] * len(encoder))
    images = fields.number("in_channels", default=3)
    same = list(widths[:1]) * len(encoder)
    fields.require({"out_channels": images, "encoder_block_out_channels": same})
    fields.require({"decoder_block_out_channels": same})
    decoder = fields.numbers("num_decoder_blocks", default=[3, 3, 3, 1])
    vae = fields.build(
        TinyVAEConfig,
        {"encoder_blocks": "num_encoder_blocks", "decoder_blocks": "num_decoder_blocks"},
        channels=widths[0],
        encoder_blocks=encoder,
        decoder_blocks=decoder,
        latent_channels=fields.number("latent_channels", default=4),
        image_channels=images,
    )
    fields.refuse_others(_IGNORED)
    return vae


def tiny_vae_settings(config: TinyVAEConfig) -> dict[str, Any]:
    """The config.json that makes diffusers build this tiny autoencoder."""
    widths = [config.channels] * len(config.encoder_blocks)
    return _WANTED | {
        "_class_name": "AutoencoderTiny",
        "decoder_block_out_channels": widths,
        "encoder_block_out_channels": widths,
        "in_channels": config.image_channels,
        "latent_channels": config.latent_channels,
        "num_decoder_blocks": list(config.decoder_blocks),
        "num_encoder_blocks": list(config.encoder_blocks),
        "out_channels": config.image_channels,
    }
