"""Variations of a picture against diffusers' pipelines: unCLIP, and an embedding for a text."""

import contextlib
import sys
from collections.abc import Iterator
from functools import partial
from unittest import mock

import numpy as np
import pytest

pytest.importorskip("torch")

import diffusers_pairs
import jax
import torch
from diffusers import StableDiffusionImageVariationPipeline, StableUnCLIPImg2ImgPipeline
from diffusers_pairs import (
    HEIGHT,
    NOISE,
    SAMPLERS,
    STEPS,
    VISION,
    WIDTH,
    assert_same_latents,
    draw_theirs,
    order_of,
    pair_of,
    pictures,
    pil,
)

from jaxsd.parity.modules import nchw, relative_error
from jaxsd.pipeline.batches import image_keys
from jaxsd.sampling.features.feature import Beginning
from jaxsd.sampling.features.sight import FEATURE
from jaxsd.sampling.latents import EMBEDDING, noise_of

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore::FutureWarning")]

SEEN = pictures("seen", 50, 90)


@contextlib.contextmanager
def same_noise(kind: type, purposes: object) -> Iterator[None]:
    """Noise of the embeddings, which diffusers draws first, and then of the latents."""
    noise = noise_of(image_keys(range(2)), EMBEDDING, (VISION.projection_dim,))
    draws = [torch.from_numpy(np.array(noise)), nchw(NOISE)]
    with mock.patch.object(
        sys.modules[kind.__module__], "randn_tensor", side_effect=draws
    ) as drawn:
        yield
    assert drawn.call_count == 2


def test_what_unclip_is_told() -> None:
    """The embeddings of two pictures with noise of level 300, and zeros for negative prompts."""
    pair, kind = pair_of("unclip"), StableUnCLIPImg2ImgPipeline
    with same_noise(kind, ()):
        want = pair.theirs._encode_image(
            pil(SEEN), "cpu", 2, 1, True, torch.tensor([300]), None, None
        )
        sys.modules[kind.__module__].randn_tensor()  # that of the latents
    order = order_of(pair, "ddim", image=SEEN, noise_level=300)
    programs = pair.ours._programs(order)
    beginning = Beginning(None, image_keys(range(2)), None, None)
    hold = jax.jit(partial(FEATURE.hold, programs.networks))
    held = hold(programs.params, order.given.features["sight"], beginning)
    got = np.asarray(held.seen).swapaxes(0, 1).reshape(4, -1)
    assert relative_error(got, want.detach().numpy()) < 1e-5


@pytest.mark.release
def test_unclip(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two prompts and two pictures, whose embeddings have noise of level 300."""
    pair, options = pair_of("unclip"), {"guidance_scale": 4.0, "noise_level": 300}
    assert type(pair.theirs) is StableUnCLIPImg2ImgPipeline
    monkeypatch.setattr(diffusers_pairs, "noise_given", same_noise)
    want = draw_theirs(pair, StableUnCLIPImg2ImgPipeline, "ddim", image=pil(SEEN), **options)
    assert_same_latents(pair, order_of(pair, "ddim", image=SEEN, **options), want)


@pytest.mark.release
def test_image_variations() -> None:
    pair = pair_of("variation")
    pipe, kind = pair.theirs, StableDiffusionImageVariationPipeline
    assert type(pipe) is kind
    pipe.set_progress_bar_config(disable=True)
    pipe.scheduler = SAMPLERS["ddim"].from_config(pair.settings)
    size = {"height": HEIGHT, "width": WIDTH}
    with mock.patch.object(sys.modules[kind.__module__], "randn_tensor", return_value=nchw(NOISE)):
        want = pipe(
            pil(SEEN),
            num_inference_steps=STEPS,
            guidance_scale=3.0,
            output_type="latent",
            **size,
        ).images
    told = {"steps": STEPS, "sampler": "ddim", "latents": NOISE, "guidance_scale": 3.0}
    assert_same_latents(pair, pair.ours.order(["", ""], image=SEEN, **told), want)
