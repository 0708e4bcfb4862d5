"""A model in the original code of CompVis and Stability, `ldm`: U-Net and autoencoder.

Modules are found by the names that their parameters have in a single file. The text encoder of
SD 1 is transformers' there too, so it is compared with diffusers alone.
"""

from collections.abc import Iterator

import numpy as np
import torch

from jaxsd.config import ModelSpec, UNetConfig, VAEConfig
from jaxsd.convert import StoredModel
from jaxsd.convert.files.tensors import FlatTree
from jaxsd.convert.original.names import UNET, VAE
from jaxsd.convert.original.single_file import table
from jaxsd.convert.slots import Slot, lay_out
from jaxsd.parity.modules import (
    ModuleError,
    compare_modules,
    flax_outputs,
    nchw,
    nhwc,
    torch_outputs,
)
from jaxsd.parity.pipelines import normal, unet_inputs
from jaxsd.pipeline import Pipeline
from jaxsd.types import Array

INSTALL = (
    "pip install --no-deps stable-diffusion-sdkit==2.1.5 einops omegaconf==2.3.0 "
    "antlr4-python3-runtime==4.9.3"
)
"""What brings it. Its own list of packages has old versions of what jaxsd needs."""
GROUPS = 32
"""Of the code's group norm, in which no number says otherwise."""


class Autoencoder(torch.nn.Module):
    """The parts of `AutoencoderKL` in the original code, which needs Lightning as a whole."""

    def __init__(self, config: VAEConfig) -> None:
        from ldm.modules.diffusionmodules.model import Decoder, Encoder

        super().__init__()
        latent, widths = config.latent_channels, config.channels
        told = {
            "ch": widths[0],
            "ch_mult": [width // widths[0] for width in widths],
            "num_res_blocks": config.resnets,
            "attn_resolutions": [],
            "in_channels": 3,
            "out_ch": 3,
            "resolution": 8 * config.downscale,
            "z_channels": latent,
        }
        self.encoder, self.decoder = Encoder(**told), Decoder(**told)
        self.quant_conv = torch.nn.Conv2d(2 * latent, 2 * latent, 1)
        self.post_quant_conv = torch.nn.Conv2d(latent, latent, 1)

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """[B, 3, H, W] -> mean and logarithm of the variance, [B, 2 c, h, w]."""
        return self.quant_conv(self.encoder(images))

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """[B, c, h, w] -> [B, 3, H, W]."""
        return self.decoder(self.post_quant_conv(latents))


def unet_of(spec: ModelSpec) -> torch.nn.Module:
    """The U-Net of the original code, with random weights."""
    from ldm.modules.diffusionmodules.openaimodel import UNetModel

    config, levels = spec.unet, spec.unet.levels
    return UNetModel(
        image_size=0,  # nothing reads it
        in_channels=config.in_channels,
        model_channels=levels[0].channels,
        out_channels=config.out_channels,
        num_res_blocks=[level.resnets for level in levels],
        attention_resolutions=[2**i for i, level in enumerate(levels) if level.attention_depth],
        channel_mult=[level.channels // levels[0].channels for level in levels],
        transformer_depth=config.mid_depth,
        use_spatial_transformer=True,
        use_linear_in_transformer=spec.layout.linear_projection,
        context_dim=config.context_dim,
        legacy=False,
        **_heads(config),
    )


def check(spec: ModelSpec) -> None:
    """Whether the original code can have this model.

    Raises:
      ValueError: it cannot.
    """
    config = spec.unet
    depths = {level.attention_depth for level in config.levels} | {config.mid_depth}
    widths = [level.channels for level in config.levels]
    if (
        any((config.added, config.guidance_dim, config.noise_levels, config.label_dim))
        or len(depths - {0}) != 1
        or not all(level.self_attends for level in config.levels)
        or any(width % widths[0] for width in widths)
        or config.norm_groups != GROUPS
        or spec.vae.norm_groups != GROUPS
        or not _heads(config)
    ):
        raise ValueError(
            "ldm has only U-Nets as those of SD 1 and 2, of texts, inpainting and depth; compare "
            "this model --against diffusers"
        )


def compare(
    ours: Pipeline, stored: StoredModel, side: int
) -> Iterator[tuple[str, list[ModuleError]]]:
    """Runs each network once, on one image; yields its name and the errors of its modules.

    Args:
      ours: the model in jaxsd.
      stored: the model whose weights the original code gets.
      side: height and width of the image.

    Raises:
      ValueError: as `check`; or the original code is not installed.
    """
    networks, params, spec = ours.networks, ours.params, ours.spec
    check(spec)
    try:
        unet, vae = unet_of(spec), Autoencoder(spec.vae)
    except ModuleNotFoundError as error:
        raise ValueError(f"--against ldm needs the package {error.name}: {INSTALL}") from None
    slots, shapes = table(stored.spec)
    flat = {f"{part}/{path}": t for part, own in stored.tensors.items() for path, t in own.items()}
    tensors = lay_out(slots, shapes, flat, "ldm")
    size = (side // spec.vae.downscale,) * 2

    names = _filled(unet, UNET, "unet", tensors, slots)
    context = normal((1, spec.text[0].max_length, spec.unet.context_dim))
    told = unet_inputs(spec.unet, context, size)
    given = {name: torch.from_numpy(np.asarray(told[name])) for name in ("timestep", "context")}
    _, outputs = torch_outputs(
        unet,
        lambda: unet(nchw(told["x"]), given["timestep"], context=given["context"]),
        names.get,
    )
    yield "unet", _errors(flax_outputs(networks.unet, params["unet"], told)[1], outputs)

    names = _filled(vae, VAE, "vae", tensors, slots)
    latents = normal((1, *size, spec.vae.latent_channels))
    images, outputs = torch_outputs(vae, lambda: nhwc(vae.decode(nchw(latents))), names.get)
    own = flax_outputs(networks.vae, params["vae"], {"latents": latents}, "decode")[1]
    yield "vae decoder", _errors(own, outputs)
    _, outputs = torch_outputs(vae, lambda: vae.encode(nchw(images)), names.get)
    own = flax_outputs(networks.vae, params["vae"], {"images": images}, "encode")[1]
    yield "vae encoder", _errors(own, outputs)


def _heads(config: UNetConfig) -> dict[str, int]:
    """How the code is told of heads: one number for all levels, or one width. Empty for neither."""
    levels = [level for level in config.levels if level.attention_depth]
    if len(heads := {level.heads for level in levels}) == 1:
        return {"num_heads": heads.pop()}
    if len(widths := {level.channels // level.heads for level in levels}) == 1:
        return {"num_head_channels": widths.pop()}
    return {}


def _filled(
    network: torch.nn.Module, prefix: str, part: str, tensors: FlatTree, slots: list[Slot]
) -> dict[str, str]:
    """Gives a network its weights; the names of its modules -> our paths."""
    own = {
        name.removeprefix(prefix): torch.from_numpy(np.array(tensor.read(), np.float32))
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
    network.eval().load_state_dict(own)
    names = {
        slot.name.removeprefix(prefix).rpartition(".")[0]: slot.path.removeprefix(f"{part}/")
        for slot in slots
        if slot.path.startswith(f"{part}/")
    }
    return {name: path.rpartition("/")[0] for name, path in names.items()}


def _errors(ours: dict[str, Array], theirs: dict[str, Array]) -> list[ModuleError]:
    """Those of the modules that have parameters of their own; others have other bounds there."""
    return compare_modules({path: ours[path] for path in theirs if path in ours}, theirs)
