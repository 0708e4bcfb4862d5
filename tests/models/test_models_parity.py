"""Every module of every family against diffusers and transformers, in float32.

The twins are built and filled without jaxsd's converter, so that no mistake can cancel another.
"""

import functools
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tiny_models import (
    CLIP_L,
    OPENCLIP_BIGG,
    OPENCLIP_H,
    TINY,
    VAE_TINY,
    abstract_text,
    abstract_unet,
    abstract_vae,
    apply,
    random_params,
    token_ids,
    unet_inputs,
    uniform,
)
from torch_twins import UNFILLED, load, text_twin, unet_twin, vae_twin

from jaxsd import families
from jaxsd.config import TextConfig, UNetConfig
from jaxsd.models import VAE, TextEncoder, UNet
from jaxsd.parity.modules import (
    ModuleError,
    compare_modules,
    flax_outputs,
    nchw,
    nhwc,
    relative_error,
    run_text,
    run_unet,
    torch_outputs,
)
from jaxsd.types import Array

pytestmark = pytest.mark.parity

TOLERANCE = 1e-5
"""Of a module's largest value: float32 sums in another order; 2e-6 was seen."""
ALIKE = ("emoji", "sd1-inpainting")
"""Families that have no part which others do not have."""
FULL_SIZE = 1e-4
"""Sums over 1280 channels and hundreds of modules in a row."""


def assert_modules_agree(errors: list[ModuleError], tolerance: float, modules: int) -> None:
    """That at least so many modules were compared, and each is within the tolerance."""
    worst = sorted(errors, key=lambda module: -module.error)[:5]
    assert worst[0].error <= tolerance, worst
    assert len(errors) >= modules


@functools.cache
def our_unet(config: UNetConfig) -> tuple[Array, dict[str, Array]]:
    """Output and modules of our side: SD 2 and 2-v are one network."""
    params = random_params(abstract_unet(config))
    return flax_outputs(UNet(config), params, unet_inputs(config))


COMPARED = [pytest.param(name, marks=[pytest.mark.release] * (name in ALIKE)) for name in TINY]


@pytest.mark.parametrize("family", COMPARED)
def test_unet(family: str) -> None:
    spec, config = TINY[family], TINY[family].unet
    params, inputs = random_params(abstract_unet(config)), unet_inputs(config)
    twin = unet_twin(
        config,
        linear_projection=spec.layout.linear_projection,
        upcast_attention=family == "sd2-v",
    )
    load(twin, params)
    want, theirs = torch_outputs(twin, lambda: run_unet(twin, inputs))
    got, ours = our_unet(config)
    assert relative_error(got, want) <= TOLERANCE
    assert_modules_agree(compare_modules(ours, theirs), TOLERANCE, modules=60)


def test_unet_at_sizes_that_halve_evenly() -> None:
    config = TINY["sd1"].unet
    params, inputs = random_params(abstract_unet(config)), unet_inputs(config, size=(8, 16))
    twin = load(unet_twin(config, linear_projection=False), params)
    want, _ = torch_outputs(twin, lambda: run_unet(twin, inputs))
    assert relative_error(apply(UNet(config), params, **inputs), want) <= TOLERANCE


def test_vae() -> None:
    params = random_params(abstract_vae(VAE_TINY))
    twin = load(vae_twin(VAE_TINY), params)

    images = uniform("images", (2, 72, 40, 3))
    posterior, theirs = torch_outputs(twin, lambda: twin.encode(nchw(images)).latent_dist)
    moments, ours = flax_outputs(VAE(VAE_TINY), params, {"images": images}, "encode")
    for got, want in zip(moments, (posterior.mean, posterior.logvar), strict=True):
        assert relative_error(got, nhwc(want)) <= TOLERANCE
    assert_modules_agree(compare_modules(ours, theirs), TOLERANCE, modules=40)

    latents = uniform("unscaled latents", (2, 9, 5, 4))
    want, theirs = torch_outputs(twin, lambda: nhwc(twin.decode(nchw(latents)).sample))
    got, ours = flax_outputs(VAE(VAE_TINY), params, {"latents": latents}, "decode")
    assert relative_error(got, want) <= TOLERANCE
    assert_modules_agree(compare_modules(ours, theirs), TOLERANCE, modules=50)


@pytest.mark.parametrize(
    "config",
    [
        CLIP_L,
        OPENCLIP_H,
        OPENCLIP_BIGG,
        replace(CLIP_L, hidden_layer=-2),
        replace(CLIP_L, projection_dim=20),
    ],
    ids=["clip-l", "openclip-h", "openclip-bigg", "penultimate", "projected"],
)
def test_text_encoder(config: TextConfig) -> None:
    params, ids = random_params(abstract_text(config)), token_ids(config)
    twin = load(text_twin(config), params)
    (context, pooled), theirs = torch_outputs(twin, lambda: run_text(twin, config, ids))
    out, ours = flax_outputs(TextEncoder(config), params, {"ids": ids})
    assert relative_error(out.context, context) <= TOLERANCE
    assert relative_error(out.pooled, pooled) <= TOLERANCE
    assert_modules_agree(compare_modules(ours, theirs), TOLERANCE, modules=35)


def test_text_encoder_of_early_files_ends_at_the_highest_id() -> None:
    """Early config.json files say that the end token is 2; transformers then takes the highest."""
    params, ids = random_params(abstract_text(CLIP_L)), token_ids(CLIP_L)
    ids = np.minimum(ids, CLIP_L.vocab_size - 3)  # no prompt has the vocabulary's last id
    twin = load(text_twin(CLIP_L), params)
    twin.eos_token_id = 2
    (_, pooled), _ = torch_outputs(twin, lambda: run_text(twin, CLIP_L, ids))
    got = apply(TextEncoder(CLIP_L), params, ids=ids).pooled
    assert relative_error(got, pooled) <= TOLERANCE


@pytest.mark.release
@UNFILLED
def test_sd15_unet_at_full_size() -> None:
    config = families.UNET_SD1
    params = random_params(abstract_unet(config))
    inputs = unet_inputs(config, batch=1, size=(32, 24), tokens=77)
    twin = load(unet_twin(config, linear_projection=False), params)
    want, theirs = torch_outputs(twin, lambda: run_unet(twin, inputs))
    got, ours = flax_outputs(UNet(config), params, inputs)
    assert relative_error(got, want) <= FULL_SIZE
    assert_modules_agree(compare_modules(ours, theirs), FULL_SIZE, modules=500)


@pytest.mark.release
@UNFILLED
def test_sd15_vae_and_text_encoder_at_full_size() -> None:
    config = families.VAE_SD
    params = random_params(abstract_vae(config))
    twin = load(vae_twin(config), params)
    latents = uniform("unscaled latents", (1, 16, 24, 4))
    want, theirs = torch_outputs(twin, lambda: nhwc(twin.decode(nchw(latents)).sample))
    got, ours = flax_outputs(VAE(config), params, {"latents": latents}, "decode")
    assert relative_error(got, want) <= FULL_SIZE
    assert_modules_agree(compare_modules(ours, theirs), FULL_SIZE, modules=80)

    text = families.CLIP_L
    params, ids = random_params(abstract_text(text)), token_ids(text)
    twin = load(text_twin(text), params)
    (context, _), theirs = torch_outputs(twin, lambda: run_text(twin, text, ids))
    out, ours = flax_outputs(TextEncoder(text), params, {"ids": ids})
    assert relative_error(out.context, context) <= FULL_SIZE
    assert_modules_agree(compare_modules(ours, theirs), FULL_SIZE, modules=130)
