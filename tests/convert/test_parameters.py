"""The table of parameters against the networks themselves, and against published totals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from photomaker_fakes import tower
from tiny_models import CONTROLNETS, TINY, VAE_TINY, X4_UNET, controlnet_inputs, unet_inputs

from jaxsd import families
from jaxsd.config import (
    ControlNetConfig,
    TextConfig,
    TinyVAEConfig,
    UNetConfig,
    VAEConfig,
    VisionConfig,
)
from jaxsd.convert.adapter_parameters import controlnet_parameters, photomaker_parameters
from jaxsd.convert.files.tensors import flatten
from jaxsd.convert.layer_shapes import Shapes
from jaxsd.convert.parameters import (
    parameters,
    text_parameters,
    tiny_vae_parameters,
    unet_parameters,
    vae_parameters,
)
from jaxsd.convert.style_model import style_parameters
from jaxsd.models import VAE, ControlNet, TextEncoder, UNet
from jaxsd.models.photomaker import PhotoMaker
from jaxsd.models.style import StyleAdapter
from jaxsd.models.tiny_vae import TinyVAE

TOTALS = {
    ("sd1", "unet"): 859_520_964,
    ("sd2", "unet"): 865_910_724,
    ("sdxl", "unet"): 2_567_463_684,
    ("sdxl-refiner", "unet"): 2_259_526_660,
    ("sd1", "vae"): 83_653_863,
    ("sd1", "text_0"): 123_060_480,
    ("sd2", "text_0"): 340_387_840,
    ("sdxl", "text_1"): 694_659_840,
}


@pytest.mark.parametrize(("family", "part"), TOTALS)
def test_published_totals(family: str, part: str) -> None:
    shapes = parameters(families.FAMILIES[family])[part]
    assert sum(int(np.prod(shape)) for shape in shapes.values()) == TOTALS[family, part]


def of_network(network: nn.Module, *args: object, **inputs: object) -> Shapes:
    tree = jax.eval_shape(network.init, jax.random.key(0), *args, **inputs)["params"]
    return {path: tuple(leaf.shape) for path, leaf in flatten(tree).items()}


def of_unet(config: UNetConfig) -> Shapes:
    return of_network(UNet(config), **unet_inputs(config, batch=1))


def of_vae(network: nn.Module, config: VAEConfig | TinyVAEConfig) -> Shapes:
    return of_network(network, jnp.zeros((1, 16, 16, config.image_channels)))


def of_text(config: TextConfig) -> Shapes:
    return of_network(TextEncoder(config), jnp.zeros((1, config.max_length), jnp.int32))


UNETS = {spec.unet: family for family, spec in reversed(TINY.items())} | {X4_UNET: "x4"}


@pytest.mark.parametrize("config", UNETS, ids=UNETS.values())
def test_unets(config: UNetConfig) -> None:
    assert unet_parameters(config) == of_unet(config)


def test_vae() -> None:
    assert vae_parameters(VAE_TINY) == of_vae(VAE(VAE_TINY), VAE_TINY)


def test_text_encoders() -> None:
    for config in {text for spec in TINY.values() for text in spec.text}:
        assert text_parameters(config) == of_text(config)


@pytest.mark.parametrize("family", CONTROLNETS)
def test_controlnets(family: str) -> None:
    config = CONTROLNETS[family]
    found = of_network(ControlNet(config), **controlnet_inputs(config, batch=1, size=(8, 8)))
    assert controlnet_parameters(config) == found


@pytest.mark.parametrize("config", [TinyVAEConfig(channels=8), TinyVAEConfig()])
def test_tiny_autoencoders(config: TinyVAEConfig) -> None:
    assert tiny_vae_parameters(config) == of_vae(TinyVAE(config), config)


def test_a_photomaker() -> None:
    config = tower()
    pictures = jnp.zeros((1, config.image_size, config.image_size, 3))
    tokens = jnp.zeros((1, config.projection_dim))
    assert photomaker_parameters(config) == of_network(PhotoMaker(config), tokens, pictures)


def test_a_style_adapter() -> None:
    config = VisionConfig(16, 2, 8, 24, "quick_gelu", 1, 1, projection_dim=6)
    patches = jnp.zeros((1, 5, 16))
    assert style_parameters(config, 3) == of_network(StyleAdapter(config, 3), patches)


@pytest.mark.release
def test_a_whole_model() -> None:
    """The largest; the others have the same parts in other numbers."""
    spec = families.SDXL
    assert unet_parameters(spec.unet) == of_unet(spec.unet)
    assert vae_parameters(spec.vae) == of_vae(VAE(spec.vae), spec.vae)
    for text in spec.text:
        assert text_parameters(text) == of_text(text)


def test_a_whole_controlnet() -> None:
    config = ControlNetConfig(families.UNET_SD1)
    found = of_network(ControlNet(config), **controlnet_inputs(config, batch=1, size=(8, 8)))
    assert controlnet_parameters(config) == found
