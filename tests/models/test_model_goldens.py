"""Tiny models against what diffusers and transformers gave (tools/record_goldens.py)."""

from pathlib import Path

import numpy as np
import pytest
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
    relative_error,
    token_ids,
    unet_inputs,
    uniform,
)

from jaxsd.config import TextConfig
from jaxsd.models import VAE, TextEncoder, UNet

GOLDENS = np.load(Path(__file__).parents[1] / "goldens" / "models.npz")
TOLERANCE = 1e-5
"""Of the largest value: some hundred float32 operations in another order; 2e-6 was seen."""


COMPARED = [pytest.param(family, marks=pytest.mark.release) for family in ("sd1", "emoji")]
"""As `test_models_parity.py` compares them in every run."""


@pytest.mark.parametrize("family", ["sdxl", "lcm", *COMPARED])
def test_unet(family: str) -> None:
    config = TINY[family].unet
    got = apply(UNet(config), random_params(abstract_unet(config)), **unet_inputs(config))
    assert relative_error(got, GOLDENS[f"unet/{family}"]) < TOLERANCE


def test_vae() -> None:
    params = random_params(abstract_vae(VAE_TINY))
    images, latents = uniform("images", (1, 24, 40, 3)), uniform("unscaled latents", (1, 3, 5, 4))
    mean, log_variance = apply(VAE(VAE_TINY), params, "encode", images=images)
    assert relative_error(mean, GOLDENS["vae/mean"]) < TOLERANCE
    assert relative_error(log_variance, GOLDENS["vae/log_variance"]) < TOLERANCE
    decoded = apply(VAE(VAE_TINY), params, "decode", latents=latents)
    assert relative_error(decoded, GOLDENS["vae/decoded"]) < TOLERANCE


@pytest.mark.parametrize(
    ("name", "config"),
    [("clip-l", CLIP_L), ("openclip-h", OPENCLIP_H), ("openclip-bigg", OPENCLIP_BIGG)],
)
def test_text_encoder(name: str, config: TextConfig) -> None:
    params = random_params(abstract_text(config))
    out = apply(TextEncoder(config), params, ids=token_ids(config))
    some = np.asarray(out.context)[:, GOLDENS["text/positions"]]
    assert relative_error(some, GOLDENS[f"text/{name}/context"]) < TOLERANCE
    assert relative_error(out.pooled, GOLDENS[f"text/{name}/pooled"]) < TOLERANCE
