"""Drawings from pictures, over masks and with ControlNets: what must hold whatever the weights."""

from dataclasses import replace
from typing import Any

import jax
import numpy as np
import pytest
from tiny_models import abstract_controlnet, random_params, relative_error, uniform
from tiny_pipelines import SMALL, pipeline

from jaxsd.config import ControlNetConfig
from jaxsd.pipeline import Order, Pipeline
from jaxsd.pipeline.columns import controlnet
from jaxsd.sampling.latents import latents_of
from jaxsd.settings import Control, Settings, tableau_of

NETS = ("first", "second")
OPTIONS: dict[str, Any] = {"height": 32, "width": 32, "steps": 4, "seed": 3}


def picture(name: str, height: int = 32, width: int = 32) -> np.ndarray:
    return np.uint8(127.5 + 70 * uniform(name, (height, width, 3)))


def painted(*, first: int, end: int) -> np.ndarray:
    """A mask that paints some rows of pixels."""
    mask = np.zeros((32, 32), np.uint8)
    mask[first:end] = 255
    return mask


IMAGE, HINTS = picture("source"), [picture("hint"), picture("another hint")]
INPAINT = OPTIONS | {"image": IMAGE, "mask": painted(first=13, end=27), "mask_blur": 1.5}


@pytest.fixture(scope="module")
def pipe() -> Pipeline:
    """A model and two ControlNets, which cost nothing where they are not asked for."""
    plain = pipeline(replace(SMALL, vae=replace(SMALL.vae, channels=(8, 8, 16, 16))))
    config = ControlNetConfig(SMALL.unet, hint_channels=(4, 6, 8, 12))
    shapes = abstract_controlnet(config)
    trees = {name: jax.tree.map(jax.numpy.asarray, random_params(shapes, name)) for name in NETS}
    return replace(
        plain,
        params=plain.params | {"controlnet": trees},
        controlnets=dict.fromkeys(NETS, config),
    )


def controls(weight: float = 1.0, first: float = 0.0, last: float = 1.0) -> dict[str, Any]:
    """The options of both ControlNets."""
    each = [Control("given", name, weight, first, last) for name in NETS]
    return {"control": each, "control_images": HINTS}


def latents(pipe: Pipeline, order: Order) -> np.ndarray:
    """Row by row, so that few programs serve all tests."""
    return np.asarray(pipe.drawn(order, lambda done, rows: None).latents)


def asked(pipe: Pipeline, **options: Any) -> np.ndarray:
    return latents(pipe, pipe.order("a cat", **options))


def source(pipe: Pipeline, order: Order) -> np.ndarray:
    """The latents of the pictures that an order begins from."""
    given = order.given
    return np.asarray(latents_of(pipe.networks, pipe.params, given.image, given.keys))


def test_all_of_the_strength_forgets_the_picture(pipe: Pipeline) -> None:
    whole = asked(pipe, image=IMAGE, strength=1.0, **OPTIONS)
    np.testing.assert_array_equal(whole, asked(pipe, **OPTIONS))


def test_the_less_strength_the_nearer_is_the_picture(pipe: Pipeline) -> None:
    options = OPTIONS | {"steps": 20, "image": IMAGE, "sampler": "euler", "guidance_scale": 1.5}
    orders = [pipe.order("a cat", strength=strength, **options) for strength in (0.01, 0.3, 0.9)]
    assert [order.rows for order in orders] == [1, 6, 18]
    near, far, farther = (
        np.abs(latents(pipe, order) - source(pipe, order)).mean() for order in orders
    )
    assert near < 0.1  # the noise of one row, 0.04, less what the network takes for noise
    assert near < far < farther


@pytest.mark.parametrize("blur", [0.0, 1.5])
def test_what_is_not_painted_stays(pipe: Pipeline, blur: float) -> None:
    order = pipe.order("a cat", **INPAINT | {"mask_blur": blur})
    drawing = pipe.drawn(order, lambda done, rows: None)
    kept = order.canvases[0].mask == 0
    assert 0.2 < kept.mean() < 0.7
    pictures = pipe.pictures(drawing, order)
    np.testing.assert_array_equal(pictures[0][kept], IMAGE[kept])
    assert (pictures[0][~kept] != IMAGE[~kept]).mean() > 0.5
    kept = kept[::8, ::8]
    ends = np.asarray(drawing.latents)[0]
    assert np.abs(ends - source(pipe, order)[0])[kept].max() < 1e-5
    assert np.abs(ends - source(pipe, order)[0])[~kept].mean() > 0.1


def test_a_picture_may_be_painted_over_without_composite(pipe: Pipeline) -> None:
    order = pipe.order("a cat", composite=False, **INPAINT)
    drawing = pipe.drawn(order, lambda done, rows: None)
    kept = order.canvases[0].mask == 0
    assert (pipe.pictures(drawing, order)[0][kept] != IMAGE[kept]).any()


def test_painting_all_is_text_to_image(pipe: Pipeline) -> None:
    everything = INPAINT | {"mask": painted(first=0, end=32)}
    assert relative_error(asked(pipe, **everything), asked(pipe, **OPTIONS)) < 1e-6


def test_outpainting_keeps_the_old_part(pipe: Pipeline) -> None:
    options = OPTIONS | {"width": 24, "height": 16, "image": picture("small", 16, 24)}
    order = pipe.order("a cat", outpaint=(8, 16, 0, 0), mask_blur=0, **options)
    drawing = pipe.drawn(order, lambda done, rows: None)
    pictures = pipe.pictures(drawing, order)
    assert pictures.shape == (1, 32, 32, 3)
    np.testing.assert_array_equal(pictures[0, 16:, 8:], options["image"])
    ends = np.asarray(drawing.latents)
    assert np.abs(ends - source(pipe, order))[:, 2:, 1:].max() < 1e-5


def test_controlnets_of_no_weight_do_nothing(pipe: Pipeline) -> None:
    without = asked(pipe, **INPAINT)
    assert relative_error(asked(pipe, **controls(weight=0), **INPAINT), without) < 1e-6
    assert relative_error(asked(pipe, **controls(), **INPAINT), without) > 0.01


def test_controlnets_end_with_their_range(pipe: Pipeline) -> None:
    everywhere = pipe.order("a cat", **controls(), **INPAINT)
    half = pipe.order("a cat", **controls(last=0.5), **INPAINT)
    (steps,) = everywhere.runs
    column = steps.columns["controlnet"]
    assert column.shape == (4, 1, 2)
    assert (column == 1).all()
    zeroed = steps._replace(columns=steps.columns | {"controlnet": column.copy()})
    zeroed.columns["controlnet"][2:] = 0
    want = latents(pipe, everywhere._replace(runs=(zeroed,)))
    np.testing.assert_array_equal(latents(pipe, half), want)
    assert relative_error(want, latents(pipe, everywhere)) > 0.01


def test_an_image_of_a_batch_is_the_same_alone(pipe: Pipeline) -> None:
    each = [
        {
            "strength": strength,
            "image": picture(f"source {strength}"),
            "mask": painted(first=first, end=20),
        }
        for strength, first in ((1.0, 4), (0.5, 11))
    ]
    shared = OPTIONS | {"sampler": "dpm++_2m", "mask_blur": 2.0} | controls(last=0.6)
    seeds = [3, 4]
    together = {name: [one[name] for one in each] for name in each[0]}
    order = pipe.order(["a cat", "a dog"], **shared | together | {"seed": seeds})
    drawn = pipe.drawn(order, lambda done, rows: None)
    pictures = pipe.pictures(drawn, order)
    for i, prompt in enumerate(["a cat", "a dog"]):
        alone = pipe.order(prompt, **shared | each[i] | {"seed": seeds[i]})
        assert relative_error(latents(pipe, alone)[0], np.asarray(drawn.latents)[i]) < 2e-5
        mask = order.canvases[i].mask
        np.testing.assert_array_equal(pictures[i][mask == 0], each[i]["image"][mask == 0])


@pytest.mark.parametrize("rows", [1, 3, 7, 20, 21, 25])
def test_a_range_holds_the_rows_that_lie_wholly_in_it(rows: int) -> None:
    """As in diffusers, whose float64 sums these are."""
    bounds = [*(i / 20 for i in range(21)), 1 / 3, 2 / 3, 0.33, 0.66]
    tableau = tableau_of(Settings(sampler="ddim", steps=rows), SMALL)
    for first, last in [(a, b) for a in bounds for b in bounds if a <= b]:
        settings = Settings(steps=rows, control=(Control("", "net", 0.5, first, last),))
        keeps = [1.0 - float(i / rows < first or (i + 1) / rows > last) for i in range(rows)]
        got = controlnet(SMALL, settings, tableau)
        np.testing.assert_array_equal(got[:, 0], 0.5 * np.array(keeps), err_msg=f"{first}, {last}")
