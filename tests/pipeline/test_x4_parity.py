"""Enlarging a picture fourfold against diffusers' pipeline for it."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import diffusers_pairs
from diffusers import StableDiffusionUpscalePipeline
from diffusers_pairs import (
    NOISE,
    assert_same_latents,
    draw_theirs,
    order_of,
    pair_of,
    pictures,
    pil,
)

from jaxsd.convert import write_diffusers, write_single_file
from jaxsd.parity.modules import nchw
from jaxsd.pipeline.batches import image_keys
from jaxsd.sampling.latents import SMALL, noise_of

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")

LATENTS = NOISE[:, :8, :8]


@contextlib.contextmanager
def same_noise(kind: type, purposes: object) -> Iterator[None]:
    """Noise of the picture, which diffusers draws first, and then of the latents."""
    of_picture = np.asarray(noise_of(image_keys(range(2)), SMALL, (8, 8, 3)))
    draws = [nchw(of_picture), nchw(LATENTS)]
    module = sys.modules[kind.__module__]
    with mock.patch.object(module, "randn_tensor", side_effect=draws) as drawing:
        yield
    assert drawing.call_count == 2


@pytest.mark.parity
def test_enlarged(monkeypatch: pytest.MonkeyPatch) -> None:
    pair, small = pair_of("x4"), pictures("small", 8, 8)
    assert type(pair.theirs) is StableDiffusionUpscalePipeline
    monkeypatch.setattr(diffusers_pairs, "noise_given", same_noise)
    options = {"guidance_scale": 9.0, "noise_level": 20}
    want = draw_theirs(pair, StableDiffusionUpscalePipeline, "ddim", image=pil(small), **options)
    told = {"latents": LATENTS, "height": 32, "width": 32, "image": small}
    assert_same_latents(pair, order_of(pair, "ddim", **told, **options), want)


@pytest.mark.release
def test_a_single_file_is_read_by_both(tmp_path: Path) -> None:
    ours, theirs = pair_of("x4").ours, pair_of("x4").theirs
    file = tmp_path / "x4.safetensors"
    write_single_file(file, ours.spec, ours.params)
    write_diffusers(tmp_path / "x4", ours.spec, ours.params)
    again = StableDiffusionUpscalePipeline.from_single_file(
        file, config=str(tmp_path / "x4"), local_files_only=True
    )
    for name in ("unet", "vae"):
        want, got = getattr(theirs, name).state_dict(), getattr(again, name).state_dict()
        assert got.keys() == want.keys()
        assert all(torch.equal(got[key], value) for key, value in want.items())
