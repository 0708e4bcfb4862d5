"""Convolutions that go around: a rolled map gives a rolled map."""

from dataclasses import replace

import jax
import numpy as np
import pytest
from flax import linen as nn
from tiny_models import uniform
from tiny_pipelines import SMALLEST, pipeline

from jaxsd.nn.circular import Circular
from jaxsd.nn.convolution import Downsample, Pointwise, Upsample, convolution
from jaxsd.pipeline.forms import changed
from jaxsd.settings import Settings, checked
from jaxsd.types import Array


class Hourglass(nn.Module):
    """Every kind of convolution that U-Net and VAE have."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        x = convolution(4, "first", np.float32)(x)
        h = Downsample(4, (1, 1), np.float32)(x)
        h = Downsample(4, (0, 1), np.float32)(Pointwise(4, np.float32)(h))
        h = Upsample(4, np.float32)(h, (h.shape[1] * 2, h.shape[2] * 2))
        return Upsample(4, np.float32)(h, x.shape[1:3]) + x


def test_what_is_rolled_stays_rolled_where_it_goes_around() -> None:
    x, network = uniform("circular", (1, 16, 24, 3)), Hourglass()
    params = jax.jit(network.init)(jax.random.key(0), x)
    plain = jax.jit(network.apply)(params, x)[0]
    each = np.concatenate([x, np.roll(x, 4, 1), np.roll(x, 4, 2)])
    for along, same in (("x", [False, True]), ("xy", [True, True])):
        made, *rolled = jax.jit(Circular(network, along).apply)(params, each)
        assert made.shape == plain.shape
        for axis in range(2):
            want = np.roll(made, 4, axis)
            assert np.allclose(rolled[axis], want, atol=1e-5) == same[axis], (along, axis)
        np.testing.assert_allclose(made[7:9, 11:13], plain[7:9, 11:13], atol=1e-5)


def test_settings_change_the_networks() -> None:
    networks = pipeline(SMALLEST).networks
    assert changed(networks, Settings()) == networks
    made = changed(networks, Settings(seamless="x"))
    assert (made.unet, made.vae) == (Circular(networks.unet, "x"), Circular(networks.vae, "x"))
    assert made.unet.config == networks.unet.config
    assert repr(made) != repr(changed(networks, Settings(seamless="y")))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seamless": "z"}, "seamless 'z' is not one of none, x, y, xy"),
        ({"seamless": "x", "vae_tile": 16}, "seamless needs the whole picture, and vae_tile"),
        ({"seamless": "xy", "height": 14}, "height 14 is not a multiple of 4 pixels, which seam"),
        ({"seamless": "x", "width": 20, "hires": 1.5}, "width 30 is not a multiple of 4 pixels, w"),
    ],
)
def test_mistakes_are_named(options: dict, message: str) -> None:
    unet = replace(SMALLEST.unet, levels=SMALLEST.unet.levels * 2)
    with pytest.raises(ValueError, match=message):
        checked(
            Settings("a", **{"width": 16, "height": 16} | options), replace(SMALLEST, unet=unet)
        )
