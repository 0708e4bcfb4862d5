"""Tiny autoencoders from files, and in the place of a model's own."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from real_files import LORA, larger
from tiny_models import TINY, apply, pipeline_params, uniform
from tiny_vaes import tiny_vae_folder, tiny_vae_weights

import jaxsd
from jaxsd.config import Level, TinyVAEConfig
from jaxsd.convert import write_diffusers, write_tiny_vae
from jaxsd.convert.files.safetensors_file import read_safetensors, write_safetensors
from jaxsd.convert.files.tensors import flatten, in_memory, load
from jaxsd.convert.names import torch_slots
from jaxsd.convert.parameters import tiny_vae_parameters
from jaxsd.convert.tiny_vae import open_tiny_vae
from jaxsd.models.tiny_vae import TinyVAE
from jaxsd.text import Tokenizer, clip_vocabulary, vocabulary_of

CONFIG = TinyVAEConfig(channels=8, encoder_blocks=(1, 1, 1, 1), decoder_blocks=(1, 1, 2, 1))


def test_names_are_those_of_diffusers() -> None:
    names = {slot.name for slot in torch_slots(tiny_vae_parameters(TinyVAEConfig()))}
    assert {"encoder.layers.0.bias", "encoder.layers.1.conv.4.weight"} <= names
    assert {"encoder.layers.2.weight", "decoder.layers.6.weight"} <= names
    assert not {"encoder.layers.2.bias", "decoder.layers.6.bias"} & names
    # By hand: ten blocks of three convolutions, three without a bias and two at the ends.
    assert (len([n for n in names if n[0] == "e"]), len(names)) == (67, 134)


def test_latents_are_squeezed_before_they_are_decoded() -> None:
    network, params = TinyVAE(CONFIG), tiny_vae_weights(CONFIG)
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
    folder = tiny_vae_folder(tmp_path / "taesd", CONFIG)
    options = {"steps": 2, "height": 16, "width": 16, "seed": 1}
    drawing = jaxsd.load(model, taesd=folder).draw("a cat", **options)
    latents = np.asarray(drawing.latents)
    want = apply(TinyVAE(CONFIG), tiny_vae_weights(CONFIG), "decode", latents=latents)
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
    folder = tiny_vae_folder(tmp_path / "taesd", config, **settings)
    with pytest.raises(ValueError, match=message) as error:
        jaxsd.load(model, taesd=folder)
    assert "\n" not in str(error.value)


def test_what_was_written_is_read_again_and_not_written_over(tmp_path: Path) -> None:
    folder = tiny_vae_folder(tmp_path / "taesd", CONFIG)
    config, tensors = open_tiny_vae(folder)
    assert config == CONFIG
    wanted = flatten(tiny_vae_weights(CONFIG))
    assert tensors.keys() == wanted.keys()
    for path, tensor in tensors.items():
        np.testing.assert_array_equal(tensor.read(), wanted[path].read())
    with pytest.raises(FileExistsError):
        write_tiny_vae(folder, CONFIG, tiny_vae_weights(CONFIG))


def test_a_file_of_its_weights_says_its_numbers(tmp_path: Path) -> None:
    folder = tiny_vae_folder(tmp_path / "taesd", CONFIG)
    weights = folder / "diffusion_pytorch_model.safetensors"
    config, tensors = open_tiny_vae(weights)
    assert config == CONFIG
    assert tensors.keys() == tiny_vae_parameters(CONFIG).keys()
    tensors, _ = read_safetensors(weights)
    first = {name: tensor for name, tensor in tensors.items() if "layers.0.weight" in name}
    for wrong in ({name: in_memory(np.zeros(3, np.float32)) for name in first}, first):
        write_safetensors(tmp_path / "wrong.safetensors", wrong, {})
        with pytest.raises(ValueError, match=r"wrong\.safetensors") as error:
            open_tiny_vae(tmp_path / "wrong.safetensors")
        assert "\n" not in str(error.value)
    with pytest.raises(
        ValueError, match=r"is a LoRA; a tiny autoencoder's file has encoder\.layers"
    ):
        open_tiny_vae(LORA)


@pytest.mark.parametrize("name", ["taesd_f8", "taesdxl_f8"])
def test_real_files_give_a_picture_back(name: str) -> None:
    config, tensors = open_tiny_vae(larger(f"taesd_sd/{name}.safetensors"))
    assert config == TinyVAEConfig()
    y, x = np.mgrid[:128, :128] / 128
    waves = np.stack([0.8 * np.sin(6 * x), 0.8 * np.cos(5 * y), 0.6 * np.sin(4 * (x + y))], axis=-1)
    image = waves[None].astype(np.float32)
    params = load(tensors, lambda path, leaf: leaf.astype(np.float32))
    latents, _ = apply(TinyVAE(config), params, "encode", images=image)
    again = np.clip(apply(TinyVAE(config), params, "decode", latents=latents), -1, 1)
    assert 10 * np.log10(4 / np.mean((again - image) ** 2)) > 28  # dB


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no tiny autoencoder at"):
        open_tiny_vae(tmp_path / "missing")
