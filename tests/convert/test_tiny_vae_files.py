"""Tiny autoencoders from files, and in the place of a model's own."""

import json
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_models import TINY, apply, pipeline_params, random_params, uniform

import jaxsd
from jaxsd.config import Level, TinyVAEConfig
from jaxsd.convert import write_diffusers
from jaxsd.convert.diffusers_names import vae_slots
from jaxsd.convert.safetensors_file import write_safetensors
from jaxsd.convert.slots import lay_out
from jaxsd.convert.tensors import flatten
from jaxsd.convert.tiny_vae import open_tiny_vae, tiny_vae_parameters
from jaxsd.models.tiny_vae import TinyVAE
from jaxsd.text import Tokenizer, clip_vocabulary, vocabulary_of
from jaxsd.types import Params

CONFIG = TinyVAEConfig(channels=8, encoder_blocks=(1, 1, 1, 1), decoder_blocks=(1, 1, 2, 1))


def weights(config: TinyVAEConfig) -> Params:
    images = jax.ShapeDtypeStruct((1, 16, 16, config.image_channels), jnp.float32)
    return random_params(jax.eval_shape(TinyVAE(config).init, jax.random.key(0), images)["params"])


def write(folder: Path, config: TinyVAEConfig, **settings: object) -> Path:
    """A folder as diffusers writes it."""
    folder.mkdir()
    widths = [config.channels] * len(config.encoder_blocks)
    table = {
        "_class_name": "AutoencoderTiny",
        "act_fn": "relu",
        "decoder_block_out_channels": widths,
        "encoder_block_out_channels": widths,
        "latent_channels": config.latent_channels,
        "latent_magnitude": 3,
        "latent_shift": 0.5,
        "num_decoder_blocks": list(config.decoder_blocks),
        "num_encoder_blocks": list(config.encoder_blocks),
        "scaling_factor": 1.0,
        "upsampling_scaling_factor": 2,
    }
    (folder / "config.json").write_text(json.dumps(table | settings))
    shapes = tiny_vae_parameters(config)
    tensors = lay_out(vae_slots(shapes), shapes, flatten(weights(config)), "it")
    write_safetensors(folder / "diffusion_pytorch_model.safetensors", tensors, {"format": "pt"})
    return folder


@pytest.mark.parametrize("config", [CONFIG, TinyVAEConfig()])
def test_the_table_of_parameters_is_the_networks(config: TinyVAEConfig) -> None:
    shapes = {path: tensor.shape for path, tensor in flatten(weights(config)).items()}
    assert shapes == tiny_vae_parameters(config)


def test_names_are_those_of_diffusers() -> None:
    names = {slot.name for slot in vae_slots(tiny_vae_parameters(TinyVAEConfig()))}
    assert {"encoder.layers.0.bias", "encoder.layers.1.conv.4.weight"} <= names
    assert {"encoder.layers.2.weight", "decoder.layers.6.weight"} <= names
    assert not {"encoder.layers.2.bias", "decoder.layers.6.bias"} & names
    # By hand: ten blocks of three convolutions, three without a bias and two at the ends.
    assert (len([n for n in names if n[0] == "e"]), len(names)) == (67, 134)


def test_latents_are_squeezed_before_they_are_decoded() -> None:
    network, params = TinyVAE(CONFIG), weights(CONFIG)
    far = apply(network, params, "decode", latents=np.full((1, 2, 2, 4), 100, np.float32))
    further = apply(network, params, "decode", latents=np.full((1, 2, 2, 4), 1e4, np.float32))
    np.testing.assert_array_equal(far, further)
    images = apply(network, params, images=uniform("images", (2, 16, 24, 3)))
    assert images.shape == (2, 16, 24, 3)
    assert images.dtype == np.float32


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model of one level."""
    vocabulary = vocabulary_of(clip_vocabulary().merges[:100])
    emoji = TINY["emoji"]
    spec = replace(
        emoji,
        unet=replace(emoji.unet, levels=(Level(32, 1, 1, 2),)),
        text=(replace(emoji.text[0], vocab_size=614, pad_token=613, layers=1),),
    )
    folder = tmp_path_factory.mktemp("models") / "tiny"
    tokenizer = Tokenizer(vocabulary, spec.text[0].max_length, 613)
    write_diffusers(folder, spec, pipeline_params(spec), tokenizers=[tokenizer])
    return folder


def test_a_pipeline_decodes_with_it(model: Path, tmp_path: Path) -> None:
    folder = write(tmp_path / "taesd", CONFIG)
    options = {"steps": 2, "height": 16, "width": 16, "seed": 1}
    drawing = jaxsd.load(model, taesd=folder).draw("a cat", **options)
    latents = np.asarray(drawing.latents)
    want = apply(TinyVAE(CONFIG), weights(CONFIG), "decode", latents=latents)
    np.testing.assert_allclose(drawing.images, want, rtol=1e-5, atol=1e-5)  # other programs


@pytest.mark.parametrize(
    ("config", "settings", "message"),
    [
        (replace(CONFIG, latent_channels=16), {}, "16 channels in its latents, the model has 4"),
        (
            replace(CONFIG, encoder_blocks=(1, 1), decoder_blocks=(1, 1)),
            {},
            "has 2 pixels per latent, the model has 8",
        ),
        (CONFIG, {"_class_name": "AutoencoderKL"}, "is a AutoencoderKL, not an AutoencoderTiny"),
        (CONFIG, {"act_fn": "gelu"}, "act_fn = 'gelu' is not supported, only 'relu'"),
        (CONFIG, {"scaling_factor": 0.5}, "scaling_factor = 0.5 is not supported, only 1.0"),
        (CONFIG, {"encoder_block_out_channels": [8, 8, 8, 16]}, "encoder_block_out_channels"),
        (CONFIG, {"num_decoder_blocks": [1, 1]}, "has not as many levels as"),
        (CONFIG, {"num_encoder_blocks": [1, 1, 1, 2]}, "taesd does not fit: "),
    ],
)
def test_what_does_not_fit_is_one_line(
    model: Path, tmp_path: Path, config: TinyVAEConfig, settings: dict[str, object], message: str
) -> None:
    folder = write(tmp_path / "taesd", config, **settings)
    with pytest.raises(ValueError, match=message) as error:
        jaxsd.load(model, taesd=folder)
    assert "\n" not in str(error.value)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no tiny autoencoder at"):
        open_tiny_vae(tmp_path / "missing")
