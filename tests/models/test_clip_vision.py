"""CLIP's vision tower: its parameters, its patches, and that pictures do not see each other."""

import jax
import numpy as np
import pytest

from jaxsd.config import VisionConfig
from jaxsd.convert.parameters import vision_parameters
from jaxsd.models import VisionEncoder

TINY = VisionConfig(24, 1, 3, 32, "quick_gelu", image_size=19, patch_size=8, projection_dim=10)
RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(3, 19, 19, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def params() -> dict:
    abstract = jax.eval_shape(VisionEncoder(TINY).init, jax.random.key(0), IMAGES)["params"]
    return jax.tree.map(lambda leaf: RNG.normal(size=leaf.shape).astype(np.float32), abstract)


def encode(params: dict, images: np.ndarray) -> np.ndarray:
    return np.asarray(jax.jit(VisionEncoder(TINY).apply)({"params": params}, images).embedding)


def test_parameters_are_those_of_the_table(params: dict) -> None:
    leaves = jax.tree_util.tree_leaves_with_path(params)
    found = {
        jax.tree_util.keystr(path, simple=True, separator="/"): leaf.shape for path, leaf in leaves
    }
    assert found == vision_parameters(TINY)


def test_a_picture_is_seen_alone_and_by_whole_patches(params: dict) -> None:
    seen = encode(params, IMAGES)
    assert seen.shape == (3, 10)
    for change, sees in (((0, 3, 3), True), ((0, 15, 15), True), ((0, 16, 3), False)):
        images = IMAGES.copy()
        images[change] += 1  # the last three rows belong to no whole patch
        again = encode(params, images)
        np.testing.assert_array_equal(again[1:], seen[1:])
        assert (np.abs(again[0] - seen[0]).max() > 1e-4) == sees


def test_patches_are_told_apart_by_their_places(params: dict) -> None:
    moved = np.roll(IMAGES[:, :16, :16], 8, axis=2)
    moved = np.pad(moved, ((0, 0), (0, 3), (0, 3), (0, 0)))
    assert np.abs(encode(params, moved) - encode(params, IMAGES)).max() > 1e-3
