"""PAG, SEG, SAG and FreeU against diffusers: the same tiny weights, texts and noise."""

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import pytest

torch = pytest.importorskip("torch")

import diffusers
from diffusers import StableDiffusionPAGPipeline
from diffusers.hooks.smoothed_energy_guidance_utils import SmoothedEnergyGuidanceHook
from diffusers.models.unets import unet_2d_blocks
from diffusers.utils.torch_utils import apply_freeu, fourier_filter
from diffusers_pairs import Pair, assert_same_pictures, draw_theirs, drawn, order_of, pair_of
from tiny_models import SD1_UNET, abstract_unet, random_params, unet_inputs
from torch_twins import load, unet_twin

from jaxsd.config import Level
from jaxsd.models import UNet
from jaxsd.parity.modules import relative_error, run_unet
from jaxsd.sampling.call import Answer, Call, Networks
from jaxsd.sampling.features import FEATURES
from jaxsd.sampling.loop import Step
from jaxsd.types import Array

SAG = diffusers.pipelines.deprecated.stable_diffusion_sag.pipeline_stable_diffusion_sag
pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore::FutureWarning")]


def compare(pair: Pair, kind: type, ours: dict[str, Any], **theirs: Any) -> None:
    """Draws with guidance in both libraries, by DDIM."""
    want = draw_theirs(pair, kind, "ddim", guidance_scale=5.0, **theirs)
    order = order_of(pair, "ddim", guidance_scale=5.0, **ours)
    assert_same_pictures(drawn(pair, order), pair, want)


def test_perturbed_attention() -> None:
    compare(pair_of("sd1"), StableDiffusionPAGPipeline, {"pag": 3.0}, pag_scale=3.0)


def test_self_attention_guidance() -> None:
    compare(pair_of("sd1"), SAG.StableDiffusionSAGPipeline, {"sag": 0.75}, sag_scale=0.75)


# FreeU and SEG in one call of a U-Net: one program serves them all.

CONFIG = replace(SD1_UNET, levels=(Level(16, 1, 0, 2), Level(32, 1, 0, 2), Level(64, 1, 0, 2)))
INPUTS = unet_inputs(CONFIG, size=(12, 12))  # diffusers blurs squares alone
NUMBERS = {"b1": 1.3, "b2": 1.4, "s1": 0.6, "s2": 0.2}
NOTHING = (1.0, 1.0, 1.0, 1.0, 2.0)


@functools.cache
def twin() -> torch.nn.Module:
    made = unet_twin(CONFIG, linear_projection=False)
    load(made, random_params(abstract_unet(CONFIG)))
    return made


@jax.jit
def ours(freeu: Array, seg: Array) -> Array:
    """The output for every input as the last branch of an image."""
    network = UNet(CONFIG)
    params = random_params(abstract_unet(CONFIG))

    def unet(call: Call, step: Step, memory: Any) -> tuple[Answer, Any]:
        x, timestep, context = call[:3]
        return Answer(network.apply({"params": params}, x, timestep, context), x), memory

    for name in ("seg", "freeu"):
        unet = FEATURES[name].wrap(Networks(network, None, ()), {}, None, unet)
    count = len(INPUTS["x"])
    columns = {"freeu": jnp.tile(freeu, (count, 1)), "seg": jnp.tile(seg, count)}
    call = Call(INPUTS["x"], INPUTS["timestep"], INPUTS["context"], None, None, None)
    return unet(call, Step(None, columns), {})[0].output


def assert_same(freeu: tuple[float, ...], *, seg: bool) -> None:
    got = ours(jnp.float32(freeu), jnp.array(seg))
    with torch.no_grad():
        want = run_unet(twin(), INPUTS)
    assert relative_error(got, want) < 1e-5
    assert relative_error(ours(jnp.float32(NOTHING), jnp.array(False)), want) > 1e-3


def second(resolution_idx: int, hidden: Any, skip: Any, **numbers: float) -> tuple[Any, Any]:
    """FreeU v2 as its authors, webui and ComfyUI have it, in torch; by width, not by block."""
    stage = {64: "1", 32: "2"}.get(hidden.shape[1])
    if stage is None:
        return hidden, skip
    mean = hidden.mean(1, keepdim=True)
    least, most = mean.amin((2, 3), keepdim=True), mean.amax((2, 3), keepdim=True)
    factor = (numbers[f"b{stage}"] - 1) * (mean - least) / (most - least) + 1
    half = hidden.shape[1] // 2
    hidden = torch.cat([hidden[:, :half] * factor, hidden[:, half:]], dim=1)
    return hidden, fourier_filter(skip, threshold=1, scale=numbers[f"s{stage}"])


@pytest.mark.parametrize(("version", "formula"), [(1, apply_freeu), (2, second)])
def test_freeu(version: int, formula: Callable[..., Any]) -> None:
    twin().enable_freeu(**NUMBERS)
    with mock.patch.object(unet_2d_blocks, "apply_freeu", formula):
        assert_same((*NUMBERS.values(), version), seg=False)
    twin().disable_freeu()


def test_smoothed_energy() -> None:
    """diffusers takes the mean of the queries where the blur is not infinite, the wrong one."""
    hook = SmoothedEnergyGuidanceHook(1.0)
    query = twin().mid_block.attentions[0].transformer_blocks[0].attn1.to_q
    handle = query.register_forward_hook(lambda layer, _, out: hook.post_forward(layer, out))
    assert_same(NOTHING, seg=True)
    handle.remove()
