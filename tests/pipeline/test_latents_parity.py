"""Pictures as latents, and files of latents, against diffusers and safetensors' own library."""

import pytest

torch = pytest.importorskip("torch")

from pathlib import Path

import numpy as np
from diffusers_pairs import pair_of, pictures
from module_parity import nchw, nhwc, relative_error
from safetensors.torch import load_file, save_file

from jaxsd.convert.files.latents import read_latents, write_latents
from jaxsd.images import from_uint8, to_uint8

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore::FutureWarning")]


def test_pictures_and_latents_are_those_of_diffusers(tmp_path: Path) -> None:
    pair = pair_of("sd1")
    vae, images = pair.theirs.vae, np.stack(pictures("encoded"))
    with torch.no_grad():
        mean = vae.encode(nchw(from_uint8(images))).latent_dist.mean * vae.config.scaling_factor
        want = to_uint8(nhwc(vae.decode(mean / vae.config.scaling_factor).sample))
    latents = pair.ours.encode(images)
    error = relative_error(latents, nhwc(mean))
    print(f"relative error {error:.1e}")
    assert error <= 1e-5
    assert np.abs(pair.ours.decode(nhwc(mean)).astype(int) - want).max() <= 1
    factor = vae.config.scaling_factor
    write_latents(tmp_path / "a.npy", np.asarray(latents), factor)
    assert relative_error(np.load(tmp_path / "a.npy"), mean.numpy()) <= 1e-5
    write_latents(tmp_path / "a.latent", np.asarray(latents), factor)
    comfy = load_file(tmp_path / "a.latent")
    assert set(comfy) == {"latent_tensor", "latent_format_version_0"}
    assert relative_error(comfy["latent_tensor"].numpy() * factor, mean.numpy()) <= 1e-5
    # Files that ComfyUI wrote first have no mark, and a factor that is always the same.
    old = mean.contiguous() * (0.18215 / factor)
    save_file({"latent_tensor": old}, tmp_path / "old.latent")
    assert relative_error(read_latents(tmp_path / "old.latent", 4, factor), nhwc(mean)) <= 1e-5
