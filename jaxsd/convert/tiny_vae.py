"""A tiny autoencoder (TAESD), alone in a folder of diffusers, or in place of a model's own."""

from dataclasses import replace
from pathlib import Path

from jaxsd.config import TinyVAEConfig, VAEConfig
from jaxsd.convert.diffusers.parts import TINY_VAE, open_part, save_part
from jaxsd.convert.files.tensors import FlatTree
from jaxsd.convert.stored_model import StoredModel
from jaxsd.types import Params


def with_tiny_vae(model: StoredModel, folder: str | Path) -> StoredModel:
    """The model with a tiny autoencoder in place of its own.

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
    part = open_part(TINY_VAE, folder)
    return part.config, part.tensors


def write_tiny_vae(
    folder: str | Path, config: TinyVAEConfig, params: Params, *, overwrite: bool = False
) -> None:
    """Write a tiny autoencoder as a folder that diffusers loads. dtypes stay as they are.

    Raises:
      ValueError: if the parameters are not those of the config.
      FileExistsError: if the folder exists and may not be overwritten.
    """
    save_part(Path(folder), TINY_VAE, config, params, overwrite=overwrite)
