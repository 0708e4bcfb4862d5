"""A tiny autoencoder (TAESD) in diffusers' folder: config.json beside the weights."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from jaxsd.config import TinyVAEConfig, VAEConfig
from jaxsd.convert.config_fields import (
    Config,
    number,
    numbers,
    read_json,
    refuse_unknown,
    require,
)
from jaxsd.convert.diffusers_names import vae_slots
from jaxsd.convert.parameters import Shapes
from jaxsd.convert.safetensors_file import write_safetensors
from jaxsd.convert.slots import fill, lay_out
from jaxsd.convert.stored_model import StoredModel
from jaxsd.convert.tensors import FlatTree, flatten
from jaxsd.convert.weight_files import open_folder
from jaxsd.convert.write import new_folder, write_json
from jaxsd.types import Params

_WANTED: dict[str, Any] = {
    "act_fn": "relu",
    "latent_magnitude": 3,
    "scaling_factor": 1.0,
    "shift_factor": 0.0,
    "upsample_fn": "nearest",
    "upsampling_scaling_factor": 2,
}
"""Settings of diffusers' `AutoencoderTiny` that have one value for Stable Diffusion."""

_READ = {
    "block_out_channels",  # repeats the decoder's
    "decoder_block_out_channels",
    "encoder_block_out_channels",
    "force_upcast",
    "in_channels",
    "latent_channels",
    "latent_shift",  # about latents kept as pictures
    "num_decoder_blocks",
    "num_encoder_blocks",
    "out_channels",
}


def with_tiny_vae(model: StoredModel, folder: str | Path) -> StoredModel:
    """The model with a tiny autoencoder in the place of its own.

    Raises:
      ValueError: not a folder of one, or one for other latents than the model's.
      FileNotFoundError: no such folder.
    """
    config, tensors = open_tiny_vae(Path(folder))
    own: VAEConfig = model.spec.vae
    for what, got, wanted in (
        ("channels in its latents", config.latent_channels, own.latent_channels),
        ("pixels per latent", config.downscale, own.downscale),
    ):
        if got != wanted:
            raise ValueError(
                f"{folder} has {got} {what}, the model has {wanted}; take a tiny autoencoder that "
                "was made for it, such as taesd for SD 1 and 2 or taesdxl for XL"
            )
    spec = replace(model.spec, vae=config)
    return replace(model, spec=spec, tensors={**model.tensors, "vae": tensors})


def open_tiny_vae(folder: Path) -> tuple[TinyVAEConfig, FlatTree]:
    """The numbers and the tensors of a diffusers `AutoencoderTiny`.

    Raises:
      ValueError: one line that says what is wrong with the folder.
      FileNotFoundError: no such folder.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"no tiny autoencoder at {folder}: no such folder")
    where = folder / "config.json"
    settings = read_json(where)
    kind = settings.get("_class_name", "AutoencoderTiny")
    if kind != "AutoencoderTiny":
        raise ValueError(f"{folder} is a {kind}, not an AutoencoderTiny")
    config = tiny_vae_config(settings, str(where))
    shapes = tiny_vae_parameters(config)
    return config, fill(vae_slots(shapes), shapes, open_folder(folder), str(folder))


def tiny_vae_config(config: Config, where: str) -> TinyVAEConfig:
    """The numbers of a diffusers `AutoencoderTiny`.

    Raises:
      ValueError: naming a setting that the autoencoder here does not have.
    """
    require(config, _WANTED, where)
    refuse_unknown(config, _WANTED.keys() | _READ, where)
    encoder = numbers(config, "num_encoder_blocks", where, default=[1, 3, 3, 3])
    widths = numbers(config, "encoder_block_out_channels", where, default=[64] * len(encoder))
    images = number(config, "in_channels", where, default=3)
    same = list(widths[:1]) * len(encoder)
    require(config, {"out_channels": images, "encoder_block_out_channels": same}, where)
    require(config, {"decoder_block_out_channels": same}, where)
    decoder = numbers(config, "num_decoder_blocks", where, default=[3, 3, 3, 1])
    if len(decoder) != len(encoder):
        raise ValueError(
            f"{where}: num_decoder_blocks = {list(decoder)} has not as many levels as "
            f"num_encoder_blocks = {list(encoder)}"
        )
    return TinyVAEConfig(
        channels=widths[0],
        encoder_blocks=encoder,
        decoder_blocks=decoder,
        latent_channels=number(config, "latent_channels", where, default=4),
        image_channels=images,
    )


def write_tiny_vae(
    folder: str | Path, config: TinyVAEConfig, params: Params, *, overwrite: bool = False
) -> None:
    """Write a tiny autoencoder as a folder that diffusers loads. dtypes stay as they are.

    Raises:
      ValueError: if the parameters are not those of the config.
      FileExistsError: if the folder exists and may not be overwritten.
    """
    widths = [config.channels] * len(config.encoder_blocks)
    settings = _WANTED | {
        "_class_name": "AutoencoderTiny",
        "decoder_block_out_channels": widths,
        "encoder_block_out_channels": widths,
        "in_channels": config.image_channels,
        "latent_channels": config.latent_channels,
        "num_decoder_blocks": list(config.decoder_blocks),
        "num_encoder_blocks": list(config.encoder_blocks),
        "out_channels": config.image_channels,
    }
    shapes = tiny_vae_parameters(config)
    tensors = lay_out(vae_slots(shapes), shapes, flatten(params), "the tiny autoencoder's tree")
    with new_folder(Path(folder), overwrite) as beside:
        write_json(beside / "config.json", settings)
        write_safetensors(beside / "diffusion_pytorch_model.safetensors", tensors, {"format": "pt"})


def tiny_vae_parameters(config: TinyVAEConfig) -> Shapes:
    """Path -> shape of a tiny autoencoder; the convolutions that change the size have no bias."""
    width, latent, images = config.channels, config.latent_channels, config.image_channels
    shapes, number = _conv("encoder/layers_0", images, width), 0
    for i, blocks in enumerate(config.encoder_blocks):
        if i:
            shapes |= _kernel(f"encoder/layers_{number}", width, width)
        shapes |= _blocks("encoder", number + 1, blocks, width)
        number += 1 + blocks
    shapes |= _conv(f"encoder/layers_{number}", width, latent)

    shapes |= _conv("decoder/layers_0", latent, width)
    number = 2
    for blocks in config.decoder_blocks[:-1]:
        shapes |= _blocks("decoder", number, blocks, width)
        number += blocks + 2
        shapes |= _kernel(f"decoder/layers_{number - 1}", width, width)
    shapes |= _blocks("decoder", number, config.decoder_blocks[-1], width)
    return shapes | _conv(f"decoder/layers_{number + config.decoder_blocks[-1]}", width, images)


def _kernel(path: str, inputs: int, outputs: int) -> Shapes:
    return {f"{path}/kernel": (3, 3, inputs, outputs)}


def _conv(path: str, inputs: int, outputs: int) -> Shapes:
    return _kernel(path, inputs, outputs) | {f"{path}/bias": (outputs,)}


def _blocks(half: str, first: int, count: int, width: int) -> Shapes:
    shapes: Shapes = {}
    for i in range(first, first + count):
        for j in (0, 2, 4):
            shapes |= _conv(f"{half}/layers_{i}/conv_{j}", width, width)
    return shapes
