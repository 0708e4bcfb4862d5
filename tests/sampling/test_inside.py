"""What is read out of a U-Net: attention by its formula, maps in place, words among tokens."""

import jax.numpy as jnp
import numpy as np
import pytest
from tiny_models import uniform
from tiny_pipelines import SMALLEST, LetterTokenizer, pipeline

import jaxsd
from jaxsd.nn.attention import attention
from jaxsd.pipeline import Pipeline
from jaxsd.pipeline.inside import tokens_of
from jaxsd.sampling.inside import enlarged, shares


def test_shares_are_those_that_attention_mixes_values_by() -> None:
    q, k = (uniform(name, (2, 6, 3, 4)) for name in ("q", "k"))
    k = k[:, :5]
    v = np.tile(np.eye(5, dtype=np.float32)[None, :, None], (2, 1, 3, 1))  # a value is its number
    want = np.asarray(attention(jnp.asarray(q), jnp.asarray(k), jnp.asarray(v))).mean(2)
    np.testing.assert_allclose(shares(jnp.asarray(q), jnp.asarray(k)), want, rtol=1e-5)


@pytest.mark.parametrize(("small", "size"), [((6, 4), (6, 4)), ((3, 2), (6, 4)), ((2, 3), (7, 10))])
def test_maps_lie_where_their_pixels_are(small: tuple[int, int], size: tuple[int, int]) -> None:
    """A slope stays one, in both directions, at the inner pixels; sides are halved upwards."""
    rows, columns = np.mgrid[: small[0], : small[1]].astype(np.float32)
    own = np.stack([rows, columns], axis=-1).reshape(1, -1, 2)
    found = np.asarray(enlarged(jnp.asarray(own), size))[0]
    assert found.shape == (*size, 2)
    for axis in (0, 1):
        places = (np.arange(size[axis]) + 0.5) * small[axis] / size[axis] - 0.5
        inner = (places >= 1) & (places <= small[axis] - 2)
        along = np.moveaxis(found[..., axis], axis, 0)[inner]
        np.testing.assert_allclose(along, np.tile(places[inner, None], along.shape[1]), atol=1e-5)


def test_a_word_is_found_each_time() -> None:
    letters = LetterTokenizer(SMALLEST.text[0])
    ids = letters(["a cat, cat"])[0]
    assert tokens_of("cat", ids, letters) == [
        3,
        4,
        5,
        8,
        9,
        10,
    ]  # behind the token of the beginning
    assert tokens_of("dog", ids, letters) == []


@pytest.fixture(scope="module")
def pipe() -> Pipeline:
    return pipeline(SMALLEST)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reuse": 2}, "reuse does not go with looking into the U-Net"),
        ({"hires": 2.0}, "hires does not go with"),
        ({"words": ["dog"]}, "the prompt has no word 'dog'"),
    ],
)
def test_what_can_not_be_looked_into(pipe: Pipeline, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pipe.word_maps("a cat", height=4, width=4, steps=1, **options)


@pytest.mark.release
def test_looking_changes_nothing_and_edits_do(pipe: Pipeline) -> None:
    """The same drawing as without, its maps are shares, and a module's output can be another."""
    told = {"height": 4, "width": 4, "steps": 2, "guidance_scale": 3.0}
    plain = np.asarray(pipe.draw("a cat", progress=lambda done, rows: None, **told).images)
    looked = pipe.word_maps("a cat", **told)
    np.testing.assert_allclose(looked.images, plain, atol=1e-5)
    assert looked.maps["cat"].shape == (1, 2, 2)
    assert (looked.maps["cat"] > 0).all()
    assert (looked.maps["a"] < 1).all()

    inside = pipe.inside("a cat", ["mid_block"], **told)
    np.testing.assert_allclose(inside.images, plain, atol=1e-5)
    assert [row["mid_block"].shape[:2] for row in inside.features] == [(1, 2)] * 2

    edited = pipe.inside("a cat", ["mid_block"], lambda path, output, step: 0 * output, **told)
    assert not any(row["mid_block"].any() for row in edited.features)
    assert abs(edited.images - plain).max() > 1e-3
    with pytest.raises(ValueError, match="no module of the U-Net is 'middle'"):
        pipe.inside("a cat", ["middle"], **told)


@pytest.mark.release
def test_words_of_colours_lie_on_what_has_them() -> None:
    """The built-in model: what differs from the ground's colour, as IoU with the words' maps."""
    drawn = jaxsd.load("emoji").word_maps("a red apple on a blue background", seed=1)
    image = drawn.images[0]
    apple = abs(image - np.median(image[:3], axis=(0, 1))[None, None]).sum(-1) > 0.5
    apple = apple.reshape(16, 8, 16, 8).mean((1, 3)) > 0.5
    red, blue = (drawn.maps[word][0] for word in ("red", "blue"))
    for found in (red > 0.4 * red.max(), blue < 0.5 * blue.max()):
        assert (found & apple).sum() / (found | apple).sum() > 0.8
