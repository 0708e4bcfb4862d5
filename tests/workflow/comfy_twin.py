"""What ComfyUI computes, in torch and with diffusers' networks: noise, weights, samplers, masks.

Nothing of jaxsd is used. Latents here are [B, c, h, w], as in torch.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch.nn.functional import conv2d, interpolate

Denoiser = Callable[[torch.Tensor, float], torch.Tensor]
"""(x, sigma) -> x0."""


class Twin:
    """A model of diffusers, drawn with as ComfyUI draws."""

    def __init__(self, pipe: Any) -> None:
        self.pipe = pipe
        betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
        kept = torch.cumprod(1 - betas, 0)
        self.sigmas = ((1 - kept) / kept) ** 0.5
        self.scale = pipe.vae.config.scaling_factor

    def text(self, pieces: Sequence[tuple[str, float]], layer: int = -1) -> torch.Tensor:
        """The context of pieces with weights, in one chunk, [1, 77, d]."""
        tokens, weights = [49406], [1.0]
        for text, weight in pieces:
            own = self.pipe.tokenizer(text, add_special_tokens=False).input_ids
            tokens += own
            weights += [weight] * len(own)
        missing = 77 - len(tokens)
        pad = self.pipe.tokenizer.pad_token_id
        tokens += [49407] + [pad] * (missing - 1)
        weights += [1.0] * missing
        z = self.encoded(tokens, layer)
        empty = self.encoded([49406, 49407] + [pad] * 75, layer)
        weight = torch.tensor(weights)[None, :, None]
        return (z - empty) * weight + empty

    def encoded(self, tokens: list[int], layer: int) -> torch.Tensor:
        encoder = self.pipe.text_encoder
        found = encoder(torch.tensor([tokens]), output_hidden_states=True)
        if layer == -1:
            return found.last_hidden_state
        norm = getattr(encoder, "text_model", encoder).final_layer_norm
        return norm(found.hidden_states[layer])

    def timestep(self, sigma: float) -> int:
        return int((np.log(sigma) - self.sigmas.log()).abs().argmin())

    def eps(self, x: torch.Tensor, sigma: float, context: torch.Tensor, **more: Any) -> Any:
        t = torch.full((len(x),), self.timestep(sigma))
        context = context.expand(len(x), -1, -1)
        seen = x / (sigma**2 + 1) ** 0.5
        if (control := more.pop("control", None)) is not None:
            net, hint, strength = control
            down, mid = net(
                seen, t, context, controlnet_cond=hint, conditioning_scale=strength,
                return_dict=False,
            )  # fmt: skip
            more |= {"down_block_additional_residuals": down, "mid_block_additional_residual": mid}
        return self.pipe.unet(seen, t, context, **more).sample

    def x0(self, x: torch.Tensor, sigma: float, context: torch.Tensor, **more: Any) -> Any:
        return x - sigma * self.eps(x, sigma, context, **more)

    def guided(
        self, positive: torch.Tensor, negative: torch.Tensor, cfg: float, **more: Any
    ) -> Denoiser:
        def run(x: torch.Tensor, sigma: float) -> torch.Tensor:
            cond = self.x0(x, sigma, positive, **more)
            uncond = self.x0(x, sigma, negative, **more)
            return uncond + cfg * (cond - uncond)

        return run

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """Latents, not scaled, of [B, 3, H, W] in [0, 1]: the mean."""
        return self.pipe.vae.encode(2 * pixels - 1).latent_dist.mean

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """[B, H, W, 3] in [0, 1]."""
        images = self.pipe.vae.decode(latents).sample
        return (images / 2 + 0.5).clamp(0, 1).movedim(1, -1)

    def karras(self, steps: int) -> list[float]:
        low, high = float(self.sigmas[0]), float(self.sigmas[-1])
        ramp = torch.linspace(0, 1, steps, dtype=torch.float64)
        levels = (high ** (1 / 7) + ramp * (low ** (1 / 7) - high ** (1 / 7))) ** 7
        return [*levels.tolist(), 0.0]

    def normal(self, steps: int) -> list[float]:
        timesteps = np.linspace(999, 0, steps)
        logs = np.interp(timesteps, np.arange(1000), self.sigmas.log().numpy())
        return [*np.exp(logs).tolist(), 0.0]

    def begun(
        self, noise: torch.Tensor, latent: torch.Tensor, sigma: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The first sample, and the latents scaled."""
        latent = latent * self.scale
        is_whole = abs(sigma - float(self.sigmas[-1])) < 1e-4
        return noise * ((1 + sigma**2) ** 0.5 if is_whole else sigma) + latent, latent


def inpainted(run: Denoiser, latent: torch.Tensor, noise: torch.Tensor, mask: Any) -> Denoiser:
    """Outside of the mask the network sees the noised latents, and x0 is those."""

    def masked(x: torch.Tensor, sigma: float) -> torch.Tensor:
        x = x * mask + (latent + noise * sigma) * (1 - mask)
        return run(x, sigma) * mask + latent * (1 - mask)

    return masked


def euler(run: Denoiser, x: torch.Tensor, sigmas: Sequence[float]) -> torch.Tensor:
    for now, after in itertools.pairwise(sigmas):
        x = x + (x - run(x, now)) / now * (after - now)
    return x


def euler_ancestral(
    run: Denoiser, x: torch.Tensor, sigmas: Sequence[float], seed: int
) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed + 1)
    for now, after in itertools.pairwise(sigmas):
        up = min(after, (after**2 * (now**2 - after**2) / now**2) ** 0.5)
        down = (after**2 - up**2) ** 0.5
        x = x + (x - run(x, now)) / now * (down - now)
        if after > 0:
            x = x + torch.randn(x.shape, generator=generator) * up
    return x


def dpmpp_2m(run: Denoiser, x: torch.Tensor, sigmas: Sequence[float]) -> torch.Tensor:
    before = None
    for i, (now, after) in enumerate(itertools.pairwise(sigmas)):
        x0 = run(x, now)
        own = x0
        h = np.inf if after == 0 else np.log(now / after)
        if before is not None and after > 0:
            r = np.log(sigmas[i - 1] / now) / h
            own = (1 + 1 / (2 * r)) * x0 - 1 / (2 * r) * before
        x = after / now * x - np.expm1(-h) * own
        before = x0
    return x


def noise_of(seed: int, shape: Sequence[int]) -> torch.Tensor:
    return torch.randn(tuple(shape), generator=torch.manual_seed(seed), device="cpu")


def grown(mask: torch.Tensor, by: int) -> torch.Tensor:
    """A binary mask [B, 1, H, W] grown as VAEEncodeForInpaint grows it."""
    padding = -(-(by - 1) // 2)
    made = conv2d(mask.round(), torch.ones((1, 1, by, by)), padding=padding).clamp(0, 1)
    return made[:, :, : mask.shape[2], : mask.shape[3]]


def sized(x: torch.Tensor, height: int, width: int, mode: str = "bilinear") -> torch.Tensor:
    return interpolate(x, size=(height, width), mode=mode)
