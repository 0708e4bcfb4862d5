"""Stable Diffusion's parts in diffusers and transformers, with random weights, for one job."""

from collections.abc import Callable

import diffusers
import torch
import transformers

torch.set_grad_enabled(False)


def device() -> str:
    """The GPU if there is one, else the CPU."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def versions() -> str:
    """Versions of the packages."""
    return f"torch {torch.__version__}, diffusers {diffusers.__version__}"


def filled(make: Callable[[], torch.nn.Module], job: dict) -> torch.nn.Module:
    """A module with small random weights, made without its own initialisation."""
    with torch.device("meta"):
        module = make()
    module = module.to(getattr(torch, job["dtype"])).to_empty(device=device()).eval()
    for tensor in (*module.parameters(), *module.buffers()):
        if tensor.is_floating_point():
            fan_in = max(1, tensor[0].numel()) if tensor.dim() > 1 else 4
            tensor.uniform_(-0.5 / fan_in**0.5, 0.5 / fan_in**0.5)
        else:
            tensor.copy_(torch.arange(tensor.numel(), device=tensor.device).reshape(tensor.shape))
    return module


def unet(job: dict) -> torch.nn.Module:
    """The U-Net."""
    settings = {name: value for name, value in job["unet"].items() if name != "_class_name"}
    return filled(lambda: diffusers.UNet2DConditionModel(**settings), job)


def vae(job: dict) -> torch.nn.Module:
    """The autoencoder."""
    settings = {name: value for name, value in job["vae"].items() if name != "_class_name"}
    return filled(lambda: diffusers.AutoencoderKL(**settings), job)


def texts(job: dict) -> list[torch.nn.Module]:
    """The text encoders."""
    made = []
    for settings in job["texts"]:
        kind = getattr(transformers, settings["architectures"][0])
        config = transformers.CLIPTextConfig(**settings)
        made.append(filled(lambda kind=kind, config=config: kind(config), job))
    return made


def unet_inputs(job: dict, images: int) -> dict:
    """Keyword arguments of the U-Net."""
    dtype, side = getattr(torch, job["dtype"]), job["latent"]
    made = {"dtype": dtype, "device": device()}
    inputs = {
        "sample": torch.randn(images, job["unet"]["in_channels"], side, side, **made),
        "timestep": torch.tensor(981, device=device()),
        "encoder_hidden_states": torch.randn(
            images, job["tokens"], job["unet"]["cross_attention_dim"], **made
        ),
    }
    if job["pooled"]:
        inputs["added_cond_kwargs"] = {
            "text_embeds": torch.randn(images, job["pooled"], **made),
            "time_ids": torch.full((images, job["time_ids"]), 512.0, **made),
        }
    return inputs


def latents(job: dict) -> torch.Tensor:
    """Latents of the job's images."""
    shape = (job["batch"], job["vae"]["latent_channels"], job["latent"], job["latent"])
    return torch.randn(shape, dtype=getattr(torch, job["dtype"]), device=device())


def ids(job: dict) -> torch.Tensor:
    """Token ids of two prompts per image."""
    shape = (2 * job["batch"], job["tokens"])
    ids = torch.full(shape, 5, dtype=torch.long, device=device())
    ids[:, -1] = job["texts"][0]["eos_token_id"]
    return ids
