"""Colours of latents, held to the tiny autoencoders of SD and XL, and to others' tables."""

from dataclasses import replace

import numpy as np
import pytest
from real_files import larger
from tiny_models import TINY, apply
from tiny_vaes import tiny_vae_weights

from jaxsd import families
from jaxsd.config import TinyVAEConfig
from jaxsd.convert.files.tensors import flatten
from jaxsd.convert.stored_model import StoredModel
from jaxsd.convert.tiny_vae import _flat_colours, known_latents, open_tiny_vae, with_tiny_vae
from jaxsd.latent_colours import COLOURS, coloured, colours_for
from jaxsd.models.tiny_vae import TinyVAE

# Of SD 1.4, as people passed it on before the programs of today had such tables:
# https://discuss.huggingface.co/t/decoding-latents-to-rgb-without-upscaling/23204/7
OTHERS = [
    [0.298, 0.207, 0.208],
    [0.187, 0.286, 0.173],
    [-0.158, 0.189, 0.264],
    [-0.184, -0.271, -0.473],
]


def test_the_table_of_sd_is_near_to_others() -> None:
    ours = np.array(COLOURS["SD 1 and 2"][:4])
    assert np.corrcoef(ours.ravel(), np.ravel(OTHERS))[0, 1] > 0.98


def test_flat_latents_are_decoded_as_by_the_network() -> None:
    config = TinyVAEConfig(channels=8, encoder_blocks=(1, 1), decoder_blocks=(1, 1))
    params = tiny_vae_weights(config)
    latents = np.float32([0.5, -1.0, 2.0, 0.1])
    flat = np.tile(latents, (1, 24, 24, 1))
    images = apply(TinyVAE(config), params, "decode", latents=flat)
    got = _flat_colours(flatten(params), latents[None])
    np.testing.assert_allclose(got[0], np.asarray(images)[0, 24, 24], rtol=1e-4, atol=1e-4)
    assert known_latents(flatten(params)) is None


@pytest.mark.parametrize(
    ("file", "own", "spec"),
    [("taesd_f8", "SD 1 and 2", families.SDXL), ("taesdxl_f8", "XL", families.SD2_V)],
)
def test_a_tiny_autoencoder_of_another_family_is_refused(file: str, own: str, spec: object) -> None:
    path = larger(f"taesd_sd/{file}.safetensors")
    assert known_latents(open_tiny_vae(path)[1]) == own
    with pytest.raises(ValueError, match=f"{file}.safetensors decodes latents of {own}, and") as e:
        with_tiny_vae(StoredModel(spec, {}), path)
    assert "\n" not in str(e.value)
    ours = families.SD1 if own != "XL" else families.SDXL
    for vae in (ours.vae, TinyVAEConfig()):
        model = StoredModel(replace(ours, vae=vae), {})
        assert with_tiny_vae(model, path).spec.vae == TinyVAEConfig()


def test_models_have_the_colours_of_their_autoencoder() -> None:
    names = [colours_for(families.FAMILIES[name]) for name in ("sd2-v", "sdxl-refiner", "emoji")]
    assert names == ["SD 1 and 2", "XL", "emoji"]
    other = replace(TINY["sd1"], vae=replace(TINY["sd1"].vae, scaling_factor=0.5))
    with pytest.raises(ValueError, match="not known; give a tiny autoencoder"):
        colours_for(other)
    assert coloured(np.zeros((2, 5, 3, 4)), "XL").shape == (2, 5, 3, 3)
