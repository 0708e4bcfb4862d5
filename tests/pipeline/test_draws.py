"""Noise of PyTorch's generators in an order: which draw goes where."""

from typing import Any

import numpy as np
import pytest
from tiny_pipelines import SMALL, pipeline

from jaxsd.generators import GENERATORS
from jaxsd.pipeline import Order, Pipeline
from jaxsd.sampling.latents import MASKED, SOURCE
from jaxsd.settings import Settings

SHAPE, SIZE = (4, 8, 6), {"height": 16, "width": 12}
COUNT = 4 * 8 * 6


@pytest.fixture(scope="module")
def pipe() -> Pipeline:
    return pipeline(SMALL)


def order_of(pipe: Pipeline, *settings: dict[str, Any], **pictures: Any) -> Order:
    told = SIZE | {"noise": "torch", "steps": 3, "sampler": "euler_a"}
    return pipe.order([Settings("a cat", **told | one) for one in settings], **pictures)


def draws(kind: str, seed: int, count: int, images: int = 1) -> list[np.ndarray]:
    """So many draws of a batch, each [B, h, w, c]."""
    generator = GENERATORS[kind](seed)
    batches = [generator.normal(images * COUNT).reshape(images, *SHAPE) for _ in range(count)]
    return [batch.transpose(0, 2, 3, 1) for batch in batches]


@pytest.mark.parametrize("kind", ["torch", "cuda"])
def test_the_first_draw_begins_and_each_row_has_the_next(pipe: Pipeline, kind: str) -> None:
    order = order_of(pipe, {"seed": 5, "noise": kind}, {"seed": 9, "noise": kind})
    for i, seed in enumerate((5, 9)):
        first, *rows = draws(kind, seed, 3)
        np.testing.assert_array_equal(order.given.noise[i], first[0])
        fresh = np.concatenate([run.columns["fresh"] for run in order.runs])[:, i]
        np.testing.assert_array_equal(fresh[:2], np.concatenate(rows))
        assert not fresh[2].any()  # the last row adds no noise


def test_places_in_a_batch_of_one_seed(pipe: Pipeline) -> None:
    order = order_of(pipe, *({"batch_place": (i, 3)} for i in range(3)))
    first, second, _ = draws("torch", 0, 3, images=3)
    np.testing.assert_array_equal(order.given.noise, first)
    np.testing.assert_array_equal(order.runs[0].columns["fresh"][0], second)


def test_a_picture_takes_the_first_draw_and_a_mask_the_third(pipe: Pipeline) -> None:
    image, mask = np.zeros((16, 12, 3), np.uint8), np.full((16, 12), 255, np.uint8)
    order = order_of(pipe, {"strength": 0.7}, image=image, mask=mask)
    source, noise, masked, row = draws("torch", 0, 4)
    given = order.given
    np.testing.assert_array_equal(given.draws[SOURCE], source)
    np.testing.assert_array_equal(given.noise, noise)
    np.testing.assert_array_equal(given.draws[MASKED], masked)
    np.testing.assert_array_equal(order.runs[0].columns["fresh"][0], row)


def test_jax_draws_within_the_programs(pipe: Pipeline) -> None:
    order = order_of(pipe, {"noise": "jax"})
    assert not order.given.draws
    assert "fresh" not in order.runs[0].columns


def test_given_noise_takes_the_place_of_the_first_draw(pipe: Pipeline) -> None:
    latents = np.ones((1, 8, 6, 4), np.float32)
    order = order_of(pipe, {}, latents=latents)
    np.testing.assert_array_equal(order.given.noise, latents)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"noise": "numpy"}, "noise 'numpy' is not one of jax, torch, cuda"),
        ({"batch_place": (2, 2)}, "batch_place 2 2 is not INDEX OF with INDEX below OF"),
        ({"noise": "jax", "batch_place": (0, 2)}, "batch_place 0 2 is for noise torch or cuda"),
    ],
)
def test_errors(pipe: Pipeline, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        order_of(pipe, options)


def test_images_of_one_call_share_who_draws(pipe: Pipeline) -> None:
    with pytest.raises(ValueError, match="images of one call share their noise"):
        order_of(pipe, {}, {"noise": "cuda"})
