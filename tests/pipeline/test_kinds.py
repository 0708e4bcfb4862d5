"""What comes of a drawing, and pictures as latents and back."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_models import uniform
from tiny_pipelines import SMALLEST, pipeline

from jaxsd.config import VAEConfig, scaled, unscaled
from jaxsd.convert.files.latents import read_latents, write_latents
from jaxsd.convert.files.safetensors_file import read_safetensors
from jaxsd.families import PLAYGROUND
from jaxsd.images import to_uint8
from jaxsd.pipeline.kinds import OUTPUT_TYPES, output_of

LATENTS = uniform("latents", (2, 3, 5, 4))
QUARTER, PLAIN = (VAEConfig((8,), scaling_factor=factor, norm_groups=8) for factor in (0.25, 1.0))


def test_each_kind_of_output() -> None:
    images = uniform("images", (2, 4, 6, 3))
    made = {
        name: output_of(name)(images, LATENTS, lambda: to_uint8(images)) for name in OUTPUT_TYPES
    }
    np.testing.assert_array_equal(made["np"], to_uint8(images))
    assert all(isinstance(one, Image.Image) and one.size == (6, 4) for one in made["pil"])
    np.testing.assert_array_equal(np.stack(made["pil"]), made["np"])
    np.testing.assert_array_equal(np.round(made["jax"] * 255), made["np"])
    assert made["latent"] is LATENTS
    with pytest.raises(ValueError, match=r"output_type 'pill' is unknown; nearest are pil"):
        output_of("pill")


def test_pictures_become_latents_and_pictures_again() -> None:
    pipe = pipeline(SMALLEST)
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 12, 3), np.uint8)
    latents = pipe.encode(images)
    unit = SMALLEST.vae.downscale
    assert latents.shape == (3, 8 // unit, 12 // unit, SMALLEST.vae.latent_channels)
    assert pipe.decode(latents).shape == images.shape
    np.testing.assert_allclose(pipe.encode(images[[2, 0, 0]])[0], latents[2], atol=1e-5)
    with pytest.raises(ValueError, match=r"images are 12x7; both sides must be multiples of 2"):
        pipe.encode(images[:, :7])
    with pytest.raises(ValueError, match=r"images is float64; uint8 is needed"):
        pipe.encode(images / 255)
    with pytest.raises(ValueError, match=r"latents have shape \(3, 4, 6\); give \[B, h, w, 4\]"):
        pipe.decode(latents[..., 0])
    with pytest.raises(ValueError, match="output_type 'pt' is unknown"):
        pipe.text_to_image("a cat", output_type="pt")


@pytest.mark.parametrize("name", ["a.npy", "a.safetensors", "a.latent"])
def test_files_of_latents(tmp_path: Path, name: str) -> None:
    write_latents(tmp_path / name, LATENTS, QUARTER)
    np.testing.assert_array_equal(read_latents(tmp_path / name, QUARTER), LATENTS)
    # Channels are before the sides, as PyTorch has them; .npy as diffusers, others as ComfyUI.
    scale = 1 if name == "a.npy" else 4
    if name == "a.npy":
        np.testing.assert_array_equal(np.load(tmp_path / name), LATENTS.transpose(0, 3, 1, 2))
    assert read_latents(tmp_path / name, PLAIN).std() == pytest.approx(LATENTS.std() * scale)


def test_latents_with_a_mean_and_a_deviation(tmp_path: Path) -> None:
    """Playground's, as diffusers' pipelines have them; ComfyUI's files have the autoencoder's."""
    vae = PLAYGROUND.vae
    own = LATENTS * np.float32(vae.latents_std) + np.float32(vae.latents_mean)
    np.testing.assert_allclose(scaled(vae, own), LATENTS * 0.5, atol=1e-5)
    np.testing.assert_allclose(unscaled(vae, LATENTS * 0.5), own, atol=1e-5)
    write_latents(tmp_path / "a.latent", LATENTS * 0.5, vae)
    stored = read_safetensors(tmp_path / "a.latent")[0]["latent_tensor"].read()
    np.testing.assert_allclose(stored, own.transpose(0, 3, 1, 2), atol=1e-5)
    np.testing.assert_allclose(read_latents(tmp_path / "a.latent", vae), LATENTS * 0.5, atol=1e-5)
    for numbers, why in (((1.0, 2.0), "a number for each of 4"), ((1.0,) * 3 + (0.0,), "can not")):
        with pytest.raises(ValueError, match=rf"latents_.* = \[.*{why}"):
            replace(vae, latents_std=numbers, latents_mean=vae.latents_mean[: len(numbers)])


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (
            np.zeros((2, 3, 5, 4), np.float32),
            r"float32 \[2, 3, 5, 4\]; latents .* \[B, 4, h, w",
        ),
        (np.zeros((2, 4, 5), np.float32), r"has float32 \[2, 4, 5\]"),
        (np.zeros((0, 4, 5, 5), np.float32), r"has float32 \[0, 4, 5, 5\]"),
        (np.zeros((1, 4, 5, 5), np.int32), r"has int32"),
        (np.full((1, 4, 5, 5), np.nan, np.float32), "has latents that are not finite"),
    ],
)
def test_arrays_that_are_no_latents(tmp_path: Path, array: np.ndarray, message: str) -> None:
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(ValueError, match=message):
        read_latents(tmp_path / "a.npy", PLAIN)


def test_files_that_are_no_latents(tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(b"no array")
    with pytest.raises(ValueError, match=r"a\.npy is not an array of NumPy"):
        read_latents(tmp_path / "a.npy", PLAIN)
    np.save(tmp_path / "b.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(ValueError, match=r"b\.npy is not an array of NumPy"):
        read_latents(tmp_path / "b.npy", PLAIN)
    with pytest.raises(ValueError, match=r"a\.bin is no file of latents; it ends with \.npy"):
        write_latents(tmp_path / "a.bin", LATENTS, PLAIN)
    with pytest.raises(FileNotFoundError):
        read_latents(tmp_path / "c.npy", PLAIN)
