"""Autoencoders in tiles: where each pixel comes from, and how far from the whole that is."""

from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest
from tiny_models import uniform
from tiny_pipelines import SMALLEST, pipeline

from jaxsd.models.tiles import TiledVAE, blended, tiling
from jaxsd.pipeline.forms import changed
from jaxsd.settings import Settings, checked


@pytest.mark.parametrize(("length", "tile", "unit"), [(200, 64, 8), (65, 64, 1), (512, 128, 4)])
def test_weights_of_a_place_add_up_to_one(length: int, tile: int, unit: int) -> None:
    starts, weights = tiling(length, tile, tile // 4, unit)
    total = np.zeros(length)
    for start, own in zip(starts, weights, strict=True):
        total[start : start + tile] += own
    np.testing.assert_allclose(total, 1, rtol=1e-6)
    assert starts[0] == 0
    assert starts[-1] == length - tile
    assert not (starts % unit).any()
    assert (starts[:-1] + tile - starts[1:] >= tile // 4 - unit).all()
    assert weights.shape[0] <= 1 + -(-(length - tile) // (tile - tile // 4))


def test_what_sees_one_pixel_is_not_changed_by_tiles() -> None:
    x = uniform("tiles", (2, 21, 40, 3))
    got = blended(lambda part: part.repeat(2, 1).repeat(2, 2), x, 16, grows=2)
    np.testing.assert_allclose(got, x.repeat(2, 1).repeat(2, 2), atol=1e-6)
    got = blended(lambda part: part[:, ::2, ::2], x[:, :20], 12, shrinks=2)
    np.testing.assert_allclose(got, x[:, :20:2, ::2], atol=1e-6)


def test_a_small_picture_is_one_tile() -> None:
    x, calls = uniform("tiles", (1, 4, 6, 4)), []
    blended(lambda part: calls.append(part.shape) or part, x, 48, grows=8)
    assert calls == [x.shape]


def test_what_sees_neighbours_differs_at_seams_alone() -> None:
    def sums(x: np.ndarray) -> np.ndarray:
        """Of a pixel and those above and below, with zeros around."""
        padded = jnp.pad(x, ((0, 0), (1, 1), (0, 0), (0, 0)))
        return padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]

    x = np.ones((1, 64, 4, 1), np.float32)
    wrong = np.flatnonzero(np.abs(blended(sums, x, 40) - sums(x))[0, :, 0, 0] > 1e-6)
    assert tiling(64, 40, 10, 1)[0].tolist() == [0, 24]
    # The ends of both tiles lack a neighbour, and weigh little there.
    assert wrong.tolist() == [24, 39]
    assert np.abs(blended(sums, x, 40) - sums(x)).max() < 0.06


class Halves:
    """Stands for an autoencoder of half the size, whose mean is the picture."""

    config = SimpleNamespace(downscale=2)

    def apply(self, variables: dict, x: np.ndarray, *, method: str) -> tuple:
        return (x[:, ::2, ::2], x[:, ::2, ::2] * variables["scale"])


def test_mean_and_variance_are_those_of_the_whole() -> None:
    images = uniform("tiles", (1, 40, 24, 3))
    got = TiledVAE(Halves(), 16).apply({"scale": 2.0}, images, method="encode")
    for tiled, scale in zip(got, (1, 2), strict=True):
        np.testing.assert_allclose(tiled, scale * images[:, ::2, ::2], atol=1e-6)


@pytest.mark.parametrize(
    ("tile", "message"),
    [
        (-1, "vae_tile -1 is out of range; allowed is 0 to 65536"),
        (17, "vae_tile 17 is not a multiple of 2 pixels"),
        (14, "vae_tile 14 is out of range; allowed is 0, or at least 16"),
    ],
)
def test_tiles_have_sides_that_can_be(tile: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        checked(Settings("a", width=32, height=32, vae_tile=tile), SMALLEST)


def test_a_pipeline_works_in_the_tiles_that_are_asked_for() -> None:
    networks = pipeline(SMALLEST).networks
    assert changed(networks, Settings(vae_tile=32)).vae == TiledVAE(networks.vae, 32)
