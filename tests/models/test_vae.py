"""What an autoencoder promises whatever its weights."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_models import (
    VAE_TINY,
    abstract_vae,
    apply,
    random_params,
    relative_error,
    uniform,
)

from jaxsd.models import VAE
from jaxsd.types import Array, Params

IMAGES = uniform("images", (2, 24, 40, 3)) / 2
LATENTS = uniform("unscaled latents", (2, 3, 5, 4))


@pytest.fixture(scope="module")
def params() -> Params:
    return random_params(abstract_vae(VAE_TINY))


def encode(params: Params, images: Array) -> tuple[Array, Array]:
    return apply(VAE(VAE_TINY), params, "encode", images=images)


def decode(params: Params, latents: Array) -> Array:
    return apply(VAE(VAE_TINY), params, "decode", latents=latents)


def test_sizes_are_multiples_of_eight_pixels(params: Params) -> None:
    mean, log_variance = encode(params, IMAGES)
    assert mean.shape == log_variance.shape == LATENTS.shape
    assert decode(params, LATENTS).shape == IMAGES.shape


def test_an_image_does_not_see_its_neighbour(params: Params) -> None:
    swapped = IMAGES[[0, 0]]
    for got, want in zip(encode(params, swapped), encode(params, IMAGES), strict=True):
        np.testing.assert_array_equal(got[0], want[0])
        assert relative_error(got[1], want[1]) > 1e-3
    got, want = decode(params, LATENTS[[0, 0]]), decode(params, LATENTS)
    np.testing.assert_array_equal(got[0], want[0])
    assert relative_error(got[1], want[1]) > 1e-3


def test_log_variance_is_clipped(params: Params) -> None:
    bias = np.float32([0] * 4 + [100, -100, 100, -100])
    extreme = params | {"quant_conv": params["quant_conv"] | {"bias": bias}}
    _, log_variance = encode(extreme, IMAGES)
    np.testing.assert_array_equal(
        log_variance, np.broadcast_to(np.float32([20, -30, 20, -30]), LATENTS.shape)
    )


def test_bfloat16_inside_float32_outside(params: Params) -> None:
    network = VAE(VAE_TINY, jnp.bfloat16)
    got = apply(network, params, "decode", latents=LATENTS)
    assert got.dtype == jnp.float32
    # bfloat16 rounds to 2**-8 some thirty times in a row.
    assert 1e-4 < relative_error(got, decode(params, LATENTS)) < 0.03
    moments = apply(network, params, "encode", images=IMAGES)
    for value, want in zip(moments, encode(params, IMAGES), strict=True):
        assert value.dtype == jnp.float32
        assert 1e-4 < relative_error(value, want) < 0.03


def test_every_parameter_has_a_finite_gradient() -> None:
    network = VAE(replace(VAE_TINY, channels=(16,)))

    @jax.jit
    def gradient(params: Params, images: Array) -> Params:
        def loss(params: Params) -> Array:
            return jnp.square(network.apply({"params": params}, images)).mean()

        return jax.grad(loss)(params)

    gradients = gradient(random_params(abstract_vae(network.config)), IMAGES[:, :8, :8])
    for path, leaf in jax.tree_util.tree_leaves_with_path(gradients):
        assert np.isfinite(leaf).all(), jax.tree_util.keystr(path)
        assert np.abs(leaf).max() > 1e-10, f"{jax.tree_util.keystr(path)} is not used"
    # The mean alone is decoded: what makes the variance has no gradient.
    np.testing.assert_array_equal(gradients["quant_conv"]["bias"][4:], 0)


@pytest.mark.parametrize(
    ("force_upcast", "dtype", "computes_in"),
    [
        (True, "float16", "float32"),
        (True, "bfloat16", "bfloat16"),
        (True, "float32", "float32"),
        (False, "float16", "float16"),
    ],
)
def test_force_upcast_is_about_float16(force_upcast: bool, dtype: str, computes_in: str) -> None:
    vae = VAE(replace(VAE_TINY, force_upcast=force_upcast), jnp.dtype(dtype))
    assert vae.compute == jnp.dtype(computes_in)


def test_force_upcast_saves_what_float16_can_not_hold() -> None:
    """Activations beyond 65504 are infinite in float16, as those of XL's autoencoder are."""
    config = replace(VAE_TINY, channels=(8,), resnets=1)
    params = random_params(abstract_vae(config))
    decoder = params["decoder"]
    decoder["conv_in"] = {name: 1e5 * leaf for name, leaf in decoder["conv_in"].items()}
    plain, upcast, exact = (
        apply(VAE(one, dtype), params, "decode", latents=LATENTS)
        for one, dtype in (
            (config, jnp.float16),
            (replace(config, force_upcast=True), jnp.float16),
            (config, jnp.float32),
        )
    )
    assert not np.isfinite(plain).all()
    np.testing.assert_array_equal(upcast, exact)
