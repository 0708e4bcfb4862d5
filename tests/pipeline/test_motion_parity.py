"""AnimateDiff against diffusers' pipelines: the same modules, prompts and noise.

diffusers normalises a module's input over all frames together. AnimateDiff's own code, with which
the modules were trained, does it frame by frame, and so do we: here diffusers is made to.
"""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

torch = pytest.importorskip("torch")

import diffusers
import numpy as np
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from diffusers_pairs import SAMPLERS, SPECS, Pair, pair_of, pictures, pil
from motion_fakes import FRAMES, motion_tensors, write_original
from tiny_models import TINY, uniform

from jaxsd.config import Level, ModelSpec
from jaxsd.parity.modules import nchw, relative_error
from jaxsd.parity.pipelines import psnr
from jaxsd.pipeline import Order
from jaxsd.pipeline.batches import image_keys
from jaxsd.sampling.latents import SOURCE, noise_of

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore::FutureWarning")]

COUNT, STEPS = 5, 5
NOISE = uniform("noise of a clip", (COUNT, 8, 8, 4))
PROMPTS = ["a red apple", "a photograph of a horse"]


def smaller(family: str, *levels: Level) -> ModelSpec:
    spec = TINY[family]
    text = tuple(replace(config, layers=2) for config in spec.text)
    return replace(spec, text=text, unet=replace(spec.unet, levels=levels, mid_depth=1))


SPECS["sd1-motion"] = smaller("sd1", Level(16, 1, 1, 2), Level(32, 1, 0, 2))
SPECS["sdxl-motion"] = smaller("sdxl", Level(16, 1, 0, 2), Level(32, 1, 1, 2))


class OfEachFrame(torch.nn.Module):
    """A norm of [B, c, F, h, w], frame by frame."""

    def __init__(self, norm: torch.nn.GroupNorm) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.stack([self.norm(x[:, :, i]) for i in range(x.shape[2])], dim=2)


def adapter_of(family: str, *, middle: bool) -> diffusers.MotionAdapter:
    unet = SPECS[family].unet
    made = diffusers.MotionAdapter(
        block_out_channels=[level.channels for level in unet.levels],
        motion_layers_per_block=1,
        motion_norm_num_groups=unet.norm_groups,
        motion_max_seq_length=FRAMES,
        use_motion_mid_block=middle,
    )
    tensors = {name: torch.tensor(t) for name, t in motion_tensors(unet, middle=middle).items()}
    missing, unexpected = made.load_state_dict(tensors, strict=False)
    assert all(name.endswith("pos_embed.pe") for name in missing)
    assert not unexpected
    return made


def theirs(pair: Pair, kind: type, adapter: Any, sampler: str, **betas: Any) -> Any:
    names = ("vae", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2", "unet")
    parts = {name: pair.theirs.components[name] for name in names if name in pair.theirs.components}
    scheduler = SAMPLERS[sampler].from_config(pair.settings, **betas)
    pipe = kind(**parts, scheduler=scheduler, motion_adapter=adapter)
    if hasattr(pipe.unet, "add_embedding"):  # which `from_unet2d` leaves at random weights
        pipe.unet.add_embedding.load_state_dict(pair.theirs.unet.add_embedding.state_dict())
    for module in pipe.unet.modules():
        if type(module).__name__ == "AnimateDiffTransformer3D":
            module.norm = OfEachFrame(module.norm)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def order_of(pair: Pair, sampler: str, prompts: list[str], noise: np.ndarray, **more: Any) -> Order:
    told = {"sampler": sampler, "steps": STEPS, "latents": noise, "negative_prompt": "blurry"}
    return pair.ours.order(prompts, guidance_scale=4.0, **told | more)


def drawn(pair: Pair, order: Order) -> np.ndarray:
    *_, last = pair.ours.steps(order)
    return np.asarray(last.state.samples[:COUNT, 0])


def assert_same(got: np.ndarray, want: torch.Tensor, vae: Any) -> None:
    """Latents, and what the autoencoder makes of them."""
    latents = want[0].movedim(1, 0)  # [C, F, h, w] -> [F, C, h, w]
    own = torch.tensor(got).movedim(-1, 1)
    with torch.no_grad():
        images = [vae.decode(z / vae.config.scaling_factor).sample for z in (own, latents)]
    decibels = psnr(*(image.numpy() for image in images))
    print(f"{decibels:.1f} dB")
    assert decibels >= 100
    assert relative_error(got, latents.movedim(1, -1).numpy()) < 1e-4


def told_to(noise: np.ndarray) -> dict[str, Any]:
    """The arguments of a pipeline of diffusers."""
    return {
        "num_inference_steps": STEPS,
        "guidance_scale": 4.0,
        "negative_prompt": "blurry",
        "latents": torch.tensor(noise.transpose(3, 0, 1, 2))[None],
        "output_type": "latent",
    }


@pytest.mark.parametrize("sampler", ["ddim", "euler", "dpm++_2m"])
def test_a_clip_of_sd1(sampler: str, tmp_path: Path) -> None:
    """Modules with a middle, as AnimateDiff's v2, in a file of its own names."""
    pair, unet = pair_of("sd1-motion"), SPECS["sd1-motion"].unet
    file = write_original(tmp_path / "mm.safetensors", unet)
    got = drawn(pair, order_of(pair, sampler, [PROMPTS[0]] * COUNT, NOISE, motion=str(file)))
    adapter = adapter_of("sd1-motion", middle=True)
    pipe = theirs(pair, diffusers.AnimateDiffPipeline, adapter, sampler, beta_schedule="linear")
    want = pipe(PROMPTS[0], num_frames=COUNT, height=64, width=64, **told_to(NOISE)).frames
    assert_same(got, want, pair.theirs.vae)


def test_a_clip_over_a_clip(tmp_path: Path) -> None:
    """Modules without a middle, as v3's, in a folder; they begin from pictures."""
    pair = pair_of("sd1-motion")
    adapter = adapter_of("sd1-motion", middle=False)
    adapter.save_pretrained(tmp_path / "adapter")
    image = [one for i in range(3) for one in pictures(f"frame {i}", 64, 64)][:COUNT]
    more = {"motion": str(tmp_path / "adapter"), "image": image, "strength": 0.6}
    got = drawn(pair, order_of(pair, "ddim", [PROMPTS[1]] * COUNT, NOISE, **more))
    kind = diffusers.AnimateDiffVideoToVideoPipeline
    pipe = theirs(pair, kind, adapter, "ddim", beta_schedule="linear")

    def sample(posterior: DiagonalGaussianDistribution, generator: Any = None) -> torch.Tensor:
        keys = image_keys(range(COUNT))
        noise = nchw(np.asarray(noise_of(keys, SOURCE, NOISE.shape[1:])))
        return posterior.mean + posterior.std * noise

    module = sys.modules[kind.__module__]
    with (
        mock.patch.object(DiagonalGaussianDistribution, "sample", sample),
        mock.patch.object(module, "randn_tensor", return_value=nchw(NOISE)[None]),
    ):
        told = told_to(NOISE) | {"latents": None}
        want = pipe(pil(image), PROMPTS[1], strength=0.6, **told).frames
    assert_same(got, want, pair.theirs.vae)


@pytest.mark.release
def test_a_clip_of_xl(tmp_path: Path) -> None:
    pair, unet = pair_of("sdxl-motion"), SPECS["sdxl-motion"].unet
    file = write_original(tmp_path / "mm.safetensors", unet, middle=False)
    got = drawn(pair, order_of(pair, "euler", [PROMPTS[0]] * COUNT, NOISE, motion=str(file)))
    adapter = adapter_of("sdxl-motion", middle=False)
    betas = {"beta_schedule": "scaled_linear", "beta_end": 0.02}
    pipe = theirs(pair, diffusers.AnimateDiffSDXLPipeline, adapter, "euler", **betas)
    want = pipe(PROMPTS[0], num_frames=COUNT, height=64, width=64, **told_to(NOISE)).frames
    assert_same(got, want, pair.theirs.vae)
