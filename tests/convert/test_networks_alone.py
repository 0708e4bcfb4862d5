"""Files with one network: told apart by the names and shapes of real files."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from real_files import keymap, real_shapes

from jaxsd.convert import alone
from jaxsd.convert.alone import open_unet, open_vae
from jaxsd.convert.files.tensors import LazyTensor
from jaxsd.convert.parameters import unet_parameters, vae_parameters
from jaxsd.families import FAMILIES, VAE_SD

Shapes = dict[str, tuple[int, ...]]
PREFIX = "model.diffusion_model."


@pytest.fixture
def as_file(monkeypatch: pytest.MonkeyPatch) -> Callable[[Shapes], Path]:
    """A file with tensors of such names and shapes, none of which is read."""

    def put(shapes: Shapes) -> Path:
        tensors = {
            name: LazyTensor(shape, np.dtype(np.float16), lambda: None)
            for name, shape in shapes.items()
        }
        monkeypatch.setattr(alone, "open_weights", lambda path: (tensors, {}))
        return Path("file.safetensors")

    return put


@pytest.mark.parametrize(
    ("name", "family"),
    [("UNET-v1-SD", "sd1"), ("UNET-XL-SD", "sdxl"), ("UNET-XL-Refiner", "sdxl-refiner")],
)
def test_unets_in_the_original_names(
    name: str, family: str, as_file: Callable[[Shapes], Path]
) -> None:
    spec, tensors = open_unet(as_file(real_shapes(name)))
    assert spec == FAMILIES[family]
    assert {path: one.shape for path, one in tensors.items()} == unet_parameters(spec.unet)
    assert open_unet(as_file(real_shapes(name, PREFIX)))[0] == spec


def test_a_unet_in_the_names_of_diffusers(as_file: Callable[[Shapes], Path]) -> None:
    """As the distilled U-Nets of XL are published."""
    theirs = keymap("sdxl")["ldm_diffusers_keymap"]
    shapes = real_shapes("UNET-XL-SD", PREFIX)
    named = {theirs[name].removeprefix("unet_"): shape for name, shape in shapes.items()}
    spec, tensors = open_unet(as_file(named))
    assert spec == FAMILIES["sdxl"]
    assert {path: one.shape for path, one in tensors.items()} == unet_parameters(spec.unet)


def test_an_autoencoder(as_file: Callable[[Shapes], Path]) -> None:
    spec, tensors = open_vae(as_file(real_shapes("VAE-v1-SD")))
    assert spec.vae == VAE_SD
    assert {path: one.shape for path, one in tensors.items()} == vae_parameters(VAE_SD)


def test_whole_models_and_other_files(as_file: Callable[[Shapes], Path]) -> None:
    vae, unet = real_shapes("VAE-v1-SD", "first_stage_model."), real_shapes("UNET-v1-SD", PREFIX)
    assert open_unet(as_file(vae | unet)) is None
    assert open_vae(as_file(vae | unet)) is None
    with pytest.raises(ValueError, match="is an autoencoder, not a U-Net"):
        open_unet(as_file(real_shapes("VAE-v1-SD")))
    with pytest.raises(ValueError, match="not an autoencoder"):
        open_vae(as_file(real_shapes("UNET-v1-SD")))
    with pytest.raises(ValueError, match="SD 2 came in two kinds"):
        open_unet(as_file(real_shapes("UNET-v2-SD")))
