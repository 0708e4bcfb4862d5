"""What accelerators are given for text to image, by lowering the whole line for them on a CPU."""

import re
from dataclasses import replace

import jax
import jax.numpy as jnp
import pytest
from jax._src.cudnn import fused_attention_stablehlo as cudnn
from tiny_models import TINY, pipeline_params

from jaxsd.config import Level
from jaxsd.models import VAE, TextEncoder, UNet
from jaxsd.sampling.program import Networks, Request, draw
from jaxsd.schedulers import NoiseSchedule, build

# 4096 tokens with heads of 40, as in the first level of SD 1.5 at 512 pixels.
SPEC = replace(TINY["sd1"], unet=replace(TINY["sd1"].unet, levels=(Level(40, 1, 1, 1),)))
SIDE = 64


@pytest.fixture
def hopper(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets JAX believe that a card of compute capability 9.0 is there."""
    monkeypatch.setattr(cudnn, "check_cudnn_version", lambda: 91000)
    monkeypatch.setattr(cudnn, "check_compute_capability", lambda capability: True)
    jax.clear_caches()


def lowered(platform: str) -> str:
    """The program of `draw` in bfloat16."""
    dtype = jnp.bfloat16
    text = tuple(TextEncoder(config, dtype) for config in SPEC.text)
    networks = Networks(UNet(SPEC.unet, dtype), VAE(SPEC.vae, dtype), text)
    tableau = build("ddim", NoiseSchedule.from_config(SPEC.schedule), 3, SPEC.prediction)
    params = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, dtype), pipeline_params(SPEC)
    )
    request = Request(
        ids=(jax.ShapeDtypeStruct((2, SPEC.text[0].max_length), jnp.int32),),
        keep=jax.ShapeDtypeStruct((2,), jnp.float32),
        time_ids=None,
        guidance=jax.ShapeDtypeStruct((1,), jnp.float32),
        noise=jax.ShapeDtypeStruct((1, SIDE, SIDE, 4), jnp.float32),
        keys=jax.eval_shape(jax.vmap(jax.random.key), jnp.zeros(1, jnp.uint32)),
    )
    traced = draw.trace(networks, params, tableau, request, guided=True)
    return traced.lower(lowering_platforms=(platform,)).as_text()


@pytest.mark.usefixtures("hopper")
@pytest.mark.parametrize(
    ("platform", "call"), [("cuda", "__cudnn$fmhaSoftmax"), ("tpu", "tpu_custom_call")]
)
def test_one_loop_with_flash_attention_and_no_logits(platform, call):
    program = lowered(platform)
    assert program.count("stablehlo.while") == 1
    assert f"@{call}(" in program
    assert not re.search(r"4096x4096x(f32|bf16)", program)
    assert not re.search(r"all_(reduce|gather|to_all)|collective|reduce_scatter", program)
