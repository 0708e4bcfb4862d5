"""Previews of latents, by a table of colours and by a tiny autoencoder."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_models import apply, uniform
from tiny_pipelines import SMALL, pipeline
from tiny_vaes import tiny_vae_folder, tiny_vae_weights

from jaxsd.config import TinyVAEConfig
from jaxsd.images import to_uint8
from jaxsd.latent_colours import COLOURS
from jaxsd.models.tiny_vae import TinyVAE
from jaxsd.pipeline import Pipeline
from jaxsd.pipeline.previews import previewer

CONFIG = TinyVAEConfig(channels=8, encoder_blocks=(1, 1), decoder_blocks=(1, 1))
LATENTS = uniform("latents", (2, 3, 5, 4))


@pytest.fixture(scope="module")
def pipe() -> Pipeline:
    return pipeline(SMALL)


def test_a_latent_is_a_pixel(pipe: Pipeline) -> None:
    preview = previewer(pipe)(LATENTS)
    assert preview.shape == (2, 3, 5, 3)
    table = np.array(COLOURS["SD 1 and 2"])
    want = sum(LATENTS[1, 2, 4, i] * table[i] for i in range(4)) + table[4]
    np.testing.assert_array_equal(preview[1, 2, 4], to_uint8(want))


def test_a_tiny_autoencoder_decodes(pipe: Pipeline, tmp_path: Path) -> None:
    folder = tiny_vae_folder(tmp_path / "taesd", CONFIG)
    preview = previewer(pipe, folder)(LATENTS)
    images = apply(TinyVAE(CONFIG), tiny_vae_weights(CONFIG), "decode", latents=LATENTS)
    want = to_uint8(np.asarray(images))
    assert preview.shape == (2, 6, 10, 3)
    assert np.abs(preview.astype(int) - want).max() <= 1  # another program rounds in another way


def test_a_model_with_a_tiny_autoencoder_decodes_with_it(pipe: Pipeline) -> None:
    tiny = replace(pipe, spec=replace(pipe.spec, vae=CONFIG))
    assert previewer(tiny).__func__ is Pipeline.decode
