"""A tiny autoencoder (TAESD), alone in a folder or a file, or in place of a model's own."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from jaxsd.config import TinyVAEConfig, VAEConfig
from jaxsd.convert.diffusers.parts import PARTS, TINY_VAE, open_part, save_part
from jaxsd.convert.files.tensors import FlatTree
from jaxsd.convert.files.weight_files import open_weights
from jaxsd.convert.kinds import kind_of
from jaxsd.convert.stored_model import StoredModel
from jaxsd.latent_colours import COLOURS, coloured, latents_of
from jaxsd.types import Params

_FIRST = "layers.0.weight"
CLEAR = 0.16
"""Mean squared difference of colours in [-1, 1], 14 dB, below which a table is a decoder's."""


def with_tiny_vae(model: StoredModel, source: str | Path) -> StoredModel:
    """The model with a tiny autoencoder in place of its own.

    Raises:
      ValueError: not one, or one for other latents than the model's.
      FileNotFoundError: no such folder or file.
    """
    config, tensors = open_tiny_vae(Path(source))
    own: VAEConfig = model.spec.vae
    for what, got, wanted in (
        ("channels in its latents", config.latent_channels, own.latent_channels),
        ("pixels per latent", config.downscale, own.downscale),
    ):
        if got != wanted:
            raise ValueError(
                f"{source} has {got} {what}, the model has {wanted}; take a tiny autoencoder that "
                "was made for it, such as taesd for SD 1 and 2 or taesdxl for XL"
            )
    wanted, found = latents_of(model.spec), known_latents(tensors)
    if wanted and found and wanted != found:
        raise ValueError(
            f"{source} decodes latents of {found}, and the model has those of {wanted}; take a "
            "tiny autoencoder that was made for it"
        )
    spec = replace(model.spec, vae=config)
    return replace(model, spec=spec, tensors={**model.tensors, "vae": tensors})


def open_tiny_vae(source: Path) -> tuple[TinyVAEConfig, FlatTree]:
    """The numbers and the tensors of a diffusers `AutoencoderTiny`: a folder, or weights alone.

    Raises:
      ValueError: one line that says what is wrong with it.
      FileNotFoundError: no such folder or file.
    """
    if source.is_dir():
        part = open_part(TINY_VAE, source)
        return part.config, part.tensors
    if not source.is_file():
        raise FileNotFoundError(f"no tiny autoencoder at {source}: no such folder or file")
    tensors, _ = open_weights(source)
    first = [tensors.get(f"{half}.{_FIRST}") for half in ("encoder", "decoder")]
    if not all(tensor is not None and len(tensor.shape) == 4 for tensor in first):
        raise ValueError(
            f"{source} is {kind_of(tensors)}; a tiny autoencoder's file has encoder.{_FIRST} and "
            f"decoder.{_FIRST}, as diffusers names them"
        )
    try:
        config = _config_of(tensors)
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from None
    return config, PARTS[TINY_VAE].fill(config, tensors, str(source))


def known_latents(tensors: FlatTree) -> str | None:
    """Whose latents a tiny autoencoder decodes, a name of `COLOURS`; None where that is not clear.

    It is told by the colours of latents that are the same everywhere. TAESD's and TAESDXL's are
    17.6 and 15.2 dB from their own table, and 11.7 and 12.5 dB from each other's.
    """
    probes = 1.5 * np.concatenate([np.eye(4), -np.eye(4), np.zeros((1, 4))]).astype(np.float32)
    if tensors["decoder/layers_0/kernel"].shape[2] != 4:
        return None
    got = np.clip(_flat_colours(tensors, probes), -1, 1)
    errors = {
        name: float(np.mean((np.clip(coloured(probes, name), -1, 1) - got) ** 2))
        for name in COLOURS
    }
    best = min(errors, key=errors.get)
    return best if errors[best] < CLEAR else None


def _flat_colours(tensors: FlatTree, latents: np.ndarray) -> np.ndarray:
    """The colours [n, 3] of large pictures whose latents [n, c] are the same everywhere.

    Far from the border a convolution is then a product with the sum of its kernel.
    """

    def layer(x: np.ndarray, path: str) -> np.ndarray:
        kernel, bias = tensors[f"{path}/kernel"], tensors.get(f"{path}/bias")
        x = x @ kernel.read().astype(np.float32).sum((0, 1))
        return x if bias is None else x + bias.read().astype(np.float32)

    names = {"/".join(path.split("/")[:2]) for path in tensors if path.startswith("decoder/")}
    x = 3 * np.tanh(latents / 3)
    for name in sorted(names, key=lambda name: int(name.rpartition("_")[2])):
        if f"{name}/conv_0/kernel" in tensors:
            h = np.maximum(layer(x, f"{name}/conv_0"), 0)
            h = np.maximum(layer(h, f"{name}/conv_2"), 0)
            x = np.maximum(x + layer(h, f"{name}/conv_4"), 0)
        else:
            x = layer(x, name)
            x = np.maximum(x, 0) if name.endswith("layers_0") else x
    return 2 * x - 1


def _config_of(tensors: FlatTree) -> TinyVAEConfig:
    """The numbers of an `AutoencoderTiny`, from the names and shapes of its tensors."""
    channels, image_channels = tensors[f"encoder.{_FIRST}"].shape[:2]
    return TinyVAEConfig(
        channels=channels,
        encoder_blocks=_blocks(tensors, "encoder"),
        decoder_blocks=_blocks(tensors, "decoder"),
        latent_channels=tensors[f"decoder.{_FIRST}"].shape[1],
        image_channels=image_channels,
    )


def _blocks(tensors: FlatTree, half: str) -> tuple[int, ...]:
    """How many residual blocks follow each other between single convolutions."""
    found = (re.match(rf"{half}\.layers\.(\d+)\.(conv\.0\.)?weight$", name) for name in tensors)
    layers = sorted((int(match[1]), match[2] is not None) for match in found if match)
    signs = "".join("b" if is_block else " " for _, is_block in layers)
    return tuple(map(len, signs.split()))


def write_tiny_vae(
    folder: str | Path, config: TinyVAEConfig, params: Params, *, overwrite: bool = False
) -> None:
    """Write a tiny autoencoder as a folder that diffusers loads. dtypes stay as they are.

    Raises:
      ValueError: if the parameters are not those of the config.
      FileExistsError: if the folder exists and may not be overwritten.
    """
    save_part(Path(folder), TINY_VAE, config, params, overwrite=overwrite)
