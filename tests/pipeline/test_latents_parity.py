"""Pictures as latents, files of latents, variations of noise, against the originals."""

import pytest

torch = pytest.importorskip("torch")

from pathlib import Path

import numpy as np
from diffusers_pairs import pair_of, pictures
from safetensors.torch import load_file, save_file
from tiny_models import uniform

from jaxsd.convert.files.latents import read_latents, write_latents
from jaxsd.images import from_uint8, to_uint8
from jaxsd.parity.modules import nchw, nhwc, relative_error
from jaxsd.pipeline.noise import slerp

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
    factor, own = vae.config.scaling_factor, pair.ours.spec.vae
    write_latents(tmp_path / "a.npy", np.asarray(latents), own)
    assert relative_error(np.load(tmp_path / "a.npy"), mean.numpy()) <= 1e-5
    write_latents(tmp_path / "a.latent", np.asarray(latents), own)
    comfy = load_file(tmp_path / "a.latent")
    assert set(comfy) == {"latent_tensor", "latent_format_version_0"}
    assert relative_error(comfy["latent_tensor"].numpy() * factor, mean.numpy()) <= 1e-5
    # Files that ComfyUI wrote first have no mark, and a factor that is always the same.
    old = mean.contiguous() * (0.18215 / factor)
    save_file({"latent_tensor": old}, tmp_path / "old.latent")
    assert relative_error(read_latents(tmp_path / "old.latent", own), nhwc(mean)) <= 1e-5


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
def test_slerp_is_that_of_webui(share: float) -> None:
    low, high = (nchw(uniform(name, (1, 8, 9, 4)))[0] for name in ("low", "high"))
    # The formula for vectors along the second axis, which is the height.
    cosine = (low / low.norm(dim=1, keepdim=True) * high / high.norm(dim=1, keepdim=True)).sum(1)
    angle = torch.acos(cosine)
    weights = [torch.sin(part * angle) / torch.sin(angle) for part in (1 - share, share)]
    want = weights[0].unsqueeze(1) * low + weights[1].unsqueeze(1) * high
    ours = slerp(share, *(nhwc(one[None])[0] for one in (low, high)))
    assert relative_error(ours, nhwc(want[None])[0]) <= 2e-6
