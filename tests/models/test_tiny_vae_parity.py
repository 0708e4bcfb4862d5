"""The tiny autoencoder against diffusers' own, from its own files, in float32."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")

from tiny_models import apply, relative_error, uniform
from tiny_vaes import tiny_vae_weights

from jaxsd.config import TinyVAEConfig
from jaxsd.convert import write_tiny_vae
from jaxsd.convert.files.tensors import load
from jaxsd.convert.tiny_vae import open_tiny_vae
from jaxsd.models.tiny_vae import TinyVAE

pytestmark = pytest.mark.parity

# The first is TAESD's own shape, but for its width of 64.
SETTINGS = [
    {},
    {"num_encoder_blocks": [1, 2], "num_decoder_blocks": [2, 1], "latent_channels": 16},
]


@pytest.mark.parametrize("settings", SETTINGS)
def test_encodes_and_decodes_as_diffusers_does(settings: dict[str, object], tmp_path: Path) -> None:
    torch.manual_seed(0)
    levels = len(settings.get("num_encoder_blocks", [1, 3, 3, 3]))
    widths = {f"{half}_block_out_channels": [24] * levels for half in ("encoder", "decoder")}
    twin = diffusers.AutoencoderTiny(**widths, **settings).eval()
    twin.save_pretrained(tmp_path)
    config, tensors = open_tiny_vae(tmp_path)
    network, params = TinyVAE(config), load(tensors)

    side = 2 * config.downscale
    images = uniform("images", (2, side, 3 * side, 3)) / np.float32(3**0.5)
    # Far beyond 3, where latents are squeezed.
    latents = 4 * uniform("latents", (2, 3, 5, config.latent_channels))
    with torch.no_grad():
        encoded = twin.encode(_nchw(images)).latents
        decoded = twin.decode(_nchw(latents)).sample
    mean, log_variance = apply(network, params, "encode", images=images)
    # float32 sums of up to 216 products in another order, thirty convolutions in a row.
    assert relative_error(mean, _nhwc(encoded)) < 1e-4
    assert (np.asarray(log_variance) == -30).all()
    assert relative_error(apply(network, params, "decode", latents=latents), _nhwc(decoded)) < 1e-4


def test_diffusers_loads_what_is_written(tmp_path: Path) -> None:
    config = TinyVAEConfig(channels=16, encoder_blocks=(1, 2), decoder_blocks=(2, 1))
    params = tiny_vae_weights(config)
    write_tiny_vae(tmp_path / "tiny", config, params)
    twin, unused = diffusers.AutoencoderTiny.from_pretrained(
        tmp_path / "tiny", output_loading_info=True
    )
    assert not any(unused.values())
    latents = uniform("latents", (2, 3, 5, 4))
    with torch.no_grad():
        decoded = twin.eval().decode(_nchw(latents)).sample
    got = apply(TinyVAE(config), params, "decode", latents=latents)
    assert relative_error(got, _nhwc(decoded)) < 1e-4


def _nchw(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array.transpose(0, 3, 1, 2)))


def _nhwc(tensor: torch.Tensor) -> np.ndarray:
    return tensor.numpy().transpose(0, 2, 3, 1)
