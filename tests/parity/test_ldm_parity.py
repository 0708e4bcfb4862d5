"""The original code's U-Net and autoencoder beside ours."""

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch")

import jax
import numpy as np
from tiny_models import TINY, pipeline_params

import jaxsd
from jaxsd.config import Level, ModelSpec, VAEConfig
from jaxsd.convert import open_model, write_single_file
from jaxsd.parity import ldm
from jaxsd.parity.modules import first_apart

pytestmark = pytest.mark.parity

VAE = VAEConfig(channels=(32, 64), resnets=1)
"""Of widths that the original code's 32 groups divide."""


def spec_of(family: str, *heads: int) -> ModelSpec:
    """A family with two levels, both of them with attention."""
    levels = tuple(Level(32 * (i + 1), 1, 1, count) for i, count in enumerate(heads))
    tiny = TINY[family]
    unet = replace(tiny.unet, levels=levels, mid_depth=1, norm_groups=32)
    text = replace(tiny.text[0], vocab_size=49408, pad_token=tiny.text[0].pad_token and 49407)
    return replace(tiny, unet=unet, vae=VAE, text=(text,))


@pytest.mark.release
@pytest.mark.parametrize(("family", "heads"), [("sd1", (4, 4)), ("sd2", (1, 2))])
def test_networks_are_those_of_the_original_code(
    family: str, heads: tuple[int, ...], tmp_path: Path
) -> None:
    """Also that the module whose weight was changed is the first that differs."""
    pytest.importorskip("omegaconf")
    pytest.importorskip("ldm.modules.diffusionmodules.openaimodel")
    spec = spec_of(family, *heads)
    params = pipeline_params(spec)
    write_single_file(tmp_path / "same.safetensors", spec, params)
    changed = jax.tree.map(np.array, params)
    changed["unet"]["mid_block"]["resnets_1"]["conv1"]["kernel"][0, 0, 0, 0] += 1
    write_single_file(tmp_path / "changed.safetensors", spec, changed)
    ours = jaxsd.load(tmp_path / "same.safetensors")
    for name, errors in ldm.compare(ours, open_model(tmp_path / "same.safetensors"), 32):
        worst = max(errors, key=lambda one: one.error)
        print(f"{family}, {name}: {len(errors)} modules, {worst.error:.1e} in {worst.path}")
        assert len(errors) > 20
        assert worst.error < 1e-5
    _, errors = next(ldm.compare(ours, open_model(tmp_path / "changed.safetensors"), 32))
    assert first_apart(errors, 1e-4).path == "mid_block/resnets_1/conv1"


@pytest.mark.parametrize("family", ["sdxl", "sdxl-refiner", "lcm", "emoji"])
def test_what_that_code_cannot_have_is_one_line(family: str) -> None:
    with pytest.raises(ValueError, match="ldm has only U-Nets as those of SD 1 and 2") as error:
        ldm.check(TINY[family])
    assert "\n" not in str(error.value)
    ldm.check(spec_of("sd2", 1, 2))
