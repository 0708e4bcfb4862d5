"""What accelerators are given for text to image, by lowering the programs for them on a CPU."""

import re
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from jax._src.cudnn import fused_attention_stablehlo as cudnn
from tiny_models import TINY, pipeline_params

from jaxsd.config import Level
from jaxsd.models import VAE, TextEncoder, UNet
from jaxsd.sampling import Step, rows_of
from jaxsd.sampling.program import Given, Networks, Texts, denoise, draw, encode
from jaxsd.schedulers import NoiseSchedule, build
from jaxsd.schedulers.guidance import classifier_free, together

# 4096 tokens with heads of 40, as in the first level of SD 1.5 at 512 pixels.
SPEC = replace(TINY["sd1"], unet=replace(TINY["sd1"].unet, levels=(Level(40, 1, 1, 1),)))
SIDE = 64


@pytest.fixture
def hopper(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets JAX believe that a card of compute capability 9.0 is there."""
    monkeypatch.setattr(cudnn, "check_cudnn_version", lambda: 91000)
    monkeypatch.setattr(cudnn, "check_compute_capability", lambda capability: True)
    jax.clear_caches()


def lowered(program: Any, platform: str) -> str:
    """`draw` or `denoise` in bfloat16."""
    dtype = jnp.bfloat16
    text = tuple(TextEncoder(config, dtype) for config in SPEC.text)
    networks = Networks(UNet(SPEC.unet, dtype), VAE(SPEC.vae, dtype), text)
    tableau = build("ddim", NoiseSchedule.from_config(SPEC.schedule), 3, SPEC.prediction)
    params = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, dtype), pipeline_params(SPEC)
    )
    shape = partial(jax.ShapeDtypeStruct, dtype=jnp.float32)
    ids = jax.ShapeDtypeStruct((1, 2, SPEC.text[0].max_length), jnp.int32)
    given = Given(
        texts=Texts((ids,), shape((1, 2))),
        time_ids=None,
        guidance=shape((1,)),
        start=shape((1, 2)),
        noise=shape((1, SIDE, SIDE, 4)),
        keys=jax.eval_shape(jax.vmap(jax.random.key), jnp.zeros(1, jnp.uint32)),
        image=None,
        features={},
    )
    columns = together([classifier_free(7.5, tableau.rows)])
    steps = Step(rows_of([tableau]), columns._asdict())
    if program is draw:
        traced = draw.trace(networks, params, given, (steps,))
    else:
        conditions, state = jax.eval_shape(partial(encode, networks), params, given)
        traced = denoise.trace(networks, params, steps, conditions, state, given.keys)
    return traced.lower(lowering_platforms=(platform,)).as_text()


@pytest.mark.usefixtures("hopper")
@pytest.mark.parametrize(
    ("platform", "call"), [("cuda", "__cudnn$fmhaSoftmax"), ("tpu", "tpu_custom_call")]
)
@pytest.mark.parametrize("program", [draw, denoise], ids=lambda program: program.__name__)
def test_one_loop_with_flash_attention_and_no_logits(program: Any, platform: str, call: str):
    text = lowered(program, platform)
    assert text.count("stablehlo.while") == 1
    assert f"@{call}(" in text
    assert not re.search(r"4096x4096x(f32|bf16)", text)
    assert not re.search(r"all_(reduce|gather|to_all)|collective|reduce_scatter", text)
