"""Text to image on tiny random models: what may not compile again, what an image depends on."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_models import TINY, relative_error
from tiny_pipelines import SMALLEST, pipeline

from jaxsd.config import Level, ModelSpec
from jaxsd.executables import IN_MEMORY
from jaxsd.pipeline import Pipeline
from jaxsd.pipeline.drawing import finished
from jaxsd.sampling.program import Drawing
from jaxsd.schedulers import SAMPLERS


def programs_ready() -> int:
    return len(IN_MEMORY._ready)


@pytest.fixture(scope="module")
def pipe() -> Pipeline:
    return pipeline(SMALLEST)


SIZE = {"height": 8, "width": 8, "steps": 4}


def quick(spec: ModelSpec) -> ModelSpec:
    """A tiny family with the first level of its U-Net that has attention, for less to compile."""
    unet = spec.unet
    levels = (next(level for level in unet.levels if level.attention_depth),)
    return replace(spec, unet=replace(unet, levels=levels), vae=SMALLEST.vae)


COMPARED = {"sd1", "sd2", "sd2-v", "sdxl-refiner"}
"""Families whose pictures the tests of parity compare in every run."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.release] * (name in COMPARED)) for name in TINY]
)
def test_every_family_draws(name: str) -> None:
    images = pipeline(quick(TINY[name])).text_to_image("a cat", steps=2, height=8, width=10)
    assert images.shape == (1, 8, 10, 3)
    assert images.dtype == np.uint8
    assert images.std() > 1


@pytest.mark.parametrize("parts", [False, True])
def test_weights_of_16_bits_are_widened_one_by_one(pipe: Pipeline, parts: bool) -> None:
    halves = jax.tree.map(lambda leaf: leaf.astype("float16"), pipe.params)
    wide = jax.tree.map(lambda leaf: leaf.astype("float32"), halves)
    options = SIZE | {"progress": lambda done, rows: None} if parts else SIZE
    drawn = [replace(pipe, params=params).draw("a cat", **options) for params in (halves, wide)]
    np.testing.assert_allclose(drawn[0].images, drawn[1].images, rtol=1e-5, atol=1e-5)


def test_nothing_that_users_change_compiles_again(pipe: Pipeline) -> None:
    pipe.draw("a cat", **SIZE)
    compiled = programs_ready()
    pipe.draw("a dog", "a mouse", seed=7, guidance_scale=3.0, **SIZE)
    pipe.draw("a dog", sampler="ddim", eta=0.7, **SIZE)
    pipe.draw("a dog", sampler="pndm", **SIZE | {"steps": 3})
    for sampler in SAMPLERS:
        for steps in (3, 4):
            try:
                pipe.draw("a cat", sampler=sampler, **SIZE | {"steps": steps})
            except ValueError:
                continue
    rows_seen = {4, 3, 5, 7}
    assert programs_ready() - compiled <= len(rows_seen) - 1


def test_an_image_depends_on_its_own_seed_alone(pipe: Pipeline) -> None:
    prompts, scales = ["a cat", "a dog", "two dogs", ""], [7.5, 1.0, 3.0, 5.0]
    options = SIZE | {"sampler": "euler_a"}
    together = pipe.draw(prompts, guidance_scale=scales, seed=10, **options)
    for batch in (1, 2):
        for i in range(0, 4, batch):
            chosen = slice(i, i + batch)
            alone = pipe.draw(
                prompts[chosen], guidance_scale=scales[chosen], seed=10 + i, **options
            )
            # Only the order of float32 sums may differ, and four steps amplify it.
            assert relative_error(alone.latents, together.latents[chosen]) < 2e-5


def test_seeds_and_prompts_and_guidance_matter(pipe: Pipeline) -> None:
    base = pipe.draw("a cat", **SIZE).latents
    for other in (
        pipe.draw("a dog", **SIZE),
        pipe.draw("a cat", seed=1, **SIZE),
        pipe.draw("a cat", guidance_scale=2.0, **SIZE),
        pipe.draw("a cat", "a dog", **SIZE),
    ):
        assert np.abs(np.asarray(other.latents - base)).max() > 1e-3


def test_num_images_counts_seeds_up(pipe: Pipeline) -> None:
    two = pipe.draw(["a cat", "a dog"], num_images=2, seed=3, **SIZE).latents
    listed = pipe.draw(["a cat", "a cat", "a dog", "a dog"], seed=[3, 4, 5, 6], **SIZE).latents
    np.testing.assert_array_equal(two, listed)


def test_scale_one_is_the_conditional_prediction_alone(pipe: Pipeline) -> None:
    unguided = pipe.draw("a cat", guidance_scale=1.0, **SIZE).latents
    guided = pipe.draw(["a cat", "a dog"], guidance_scale=[1.0, 4.0], **SIZE).latents
    assert relative_error(unguided[0], guided[0]) < 2e-5


def test_parts_and_whole_agree_and_report_every_row(pipe: Pipeline) -> None:
    seen: list[tuple[int, int]] = []
    parts = pipe.draw("a cat", progress=lambda done, rows: seen.append((done, rows)), **SIZE)
    whole = pipe.draw("a cat", **SIZE)
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert relative_error(parts.images, whole.images) < 2e-5
    assert parts.finite.shape == whole.finite.shape == (4, 1)


def test_latents_stand_for_the_seed(pipe: Pipeline) -> None:
    noise = np.random.default_rng(0).standard_normal((2, 4, 4, 4)).astype(np.float32)
    first = pipe.draw(["a cat", "a dog"], latents=noise, seed=1, **SIZE)
    second = pipe.draw(["a cat", "a dog"], latents=noise, seed=2, **SIZE)
    np.testing.assert_array_equal(first.latents, second.latents)


def test_empty_negative_of_xl_is_zeros() -> None:
    pipe = pipeline(quick(TINY["sdxl"]))
    encoded = replace(pipe, spec=replace(pipe.spec, zero_empty_negative=False))
    assert pipe.spec.zero_empty_negative
    zeros = pipe.draw("a cat", **SIZE).latents
    assert np.abs(np.asarray(zeros - encoded.draw("a cat", **SIZE).latents)).max() > 1e-3
    with_words = {"negative_prompt": "a dog"} | SIZE
    np.testing.assert_array_equal(
        pipe.draw("a cat", **with_words).latents, encoded.draw("a cat", **with_words).latents
    )


def test_bfloat16_is_near_float32(pipe: Pipeline) -> None:
    half = pipeline(SMALLEST, "bfloat16").draw("a cat", **SIZE)
    full = pipe.draw("a cat", **SIZE)
    assert half.images.dtype == np.float32
    # bfloat16 keeps 8 bits, 0.4%; guidance of 7.5 and four steps of random weights amplify it.
    assert 0 < relative_error(half.latents, full.latents) < 0.05


def broken(pipe: Pipeline) -> Pipeline:
    """A model whose first step is not finite."""
    unet = dict(pipe.params["unet"])
    unet["conv_out"] = {name: value * np.inf for name, value in unet["conv_out"].items()}
    return replace(pipe, params=pipe.params | {"unet": unet})


def test_non_finite_latents_name_the_step(pipe: Pipeline) -> None:
    with pytest.raises(FloatingPointError, match="not finite after step 1 of 4"):
        broken(pipe).draw("a cat", **SIZE)


def test_an_error_waits_for_the_decoder(pipe: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that ends while it still runs can crash."""
    slow = jax.jit(lambda x: jax.lax.fori_loop(0, 100, lambda _, y: jnp.tanh(y @ x), x))
    images = []

    def slowly(*arguments: Any) -> Drawing:
        drawing = finished(*arguments)
        images.append(drawing.images + slow(jnp.ones((300, 300)))[0, 0])
        return drawing._replace(images=images[0])

    monkeypatch.setattr("jaxsd.pipeline.drawer.finished", slowly)
    with pytest.raises(FloatingPointError, match="not finite after step 1 of 4"):
        broken(pipe).draw("a cat", progress=lambda done, rows: None, **SIZE)
    assert images[0].is_ready()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"height": 7}, "height 7 is not a multiple of 2 pixels"),
        ({"sampler": "dimm"}, "dimm"),
        ({"steps": 0}, "steps"),
        ({"seed": -1}, "seed -1 is out of range; allowed is 0 to 9223372036854775807"),
        ({"seed": [1, 2]}, "seed has 2 values for 1 images"),
        ({"guidance_scale": [1.0, 2.0]}, "guidance_scale has 2 values for 1 images"),
        ({"num_images": 0}, "num_images 0 is not a whole number of at least 1"),
        ({"num_images": 1.5}, "num_images 1.5 is not a whole number"),
        ({"num_images": 10**8}, "at most 1048576 are possible in a call"),
        ({"latents": np.zeros((1, 2, 2, 4))}, "latents have shape"),
        ({"stepz": 3}, "no option 'stepz'"),
        ({"negative_prompt": ["a", "b"]}, "negative_prompt has 2 values"),
        ({"guidance_scale": b"1"}, "guidance_scale is b'1', it must be of type float"),
        ({"eta": None}, "sampler_options eta=None: a text stands where ddim takes a number"),
        ({"prompt": 5}, "prompt is 5, it must be a text, or several"),
    ],
)
def test_what_does_not_fit_is_one_line(
    pipe: Pipeline, options: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message) as error:
        pipe.draw(**{"prompt": "a cat"} | SIZE | options)
    assert "\n" not in str(error.value)


def test_a_prompt_that_is_too_long_is_said(pipe: Pipeline) -> None:
    with pytest.warns(UserWarning, match="23 tokens too long"):
        pipe.draw("x" * 98, prompt_weights="none", **SIZE)


def test_guidance_in_an_interval(pipe: Pipeline) -> None:
    def latents(**options: object) -> np.ndarray:
        return np.asarray(pipe.draw("a cat", "a dog", seed=3, **SIZE | options).latents)

    everywhere, nowhere = latents(), latents(guidance_scale=1.0)
    np.testing.assert_array_equal(latents(guidance_interval=(0.0, 1.0)), everywhere)
    assert relative_error(latents(guidance_interval=(0.5, 0.5)), nowhere) < 1e-5
    middle = latents(guidance_interval=(0.25, 0.75))
    parts = latents(guidance_interval=(0.25, 0.75), progress=lambda done, rows: None)
    assert relative_error(parts, middle) < 1e-5
    assert min(relative_error(middle, other) for other in (everywhere, nowhere)) > 1e-3


@pytest.fixture(scope="module")
def deep_pipe() -> Pipeline:
    """Two levels, so that something lies below the outermost."""
    levels = (Level(16, 1, 0, 4), Level(32, 1, 0, 4))
    return pipeline(replace(SMALLEST, unet=replace(SMALLEST.unet, levels=levels)))


def test_deep_features_are_used_again(deep_pipe: Pipeline) -> None:
    def latents(**options: object) -> np.ndarray:
        return np.asarray(deep_pipe.draw("a cat", "a dog", seed=3, **SIZE | options).latents)

    whole, reused = latents(), latents(reuse=3)
    np.testing.assert_array_equal(latents(reuse=1), whole)
    assert relative_error(reused, whole) > 1e-3
    compiled = programs_ready()
    assert relative_error(latents(reuse=2), reused) > 1e-3  # another plan for the same program
    assert programs_ready() == compiled


@pytest.mark.release
def test_reuse_within_a_guidance_interval_begins_anew(deep_pipe: Pipeline) -> None:
    options = SIZE | {"reuse": 3, "guidance_interval": (0.25, 0.75)}
    whole = deep_pipe.draw("a cat", "a dog", **options)
    parts = deep_pipe.draw("a cat", "a dog", progress=lambda done, rows: None, **options)
    assert relative_error(parts.latents, whole.latents) < 1e-5


@pytest.mark.parametrize("reuse", [0, -1, 1.5, True])
def test_reuse_counts_rows(pipe: Pipeline, reuse: object) -> None:
    with pytest.raises(ValueError, match=f"reuse.* {reuse}"):
        pipe.draw("a cat", reuse=reuse, **SIZE)


def test_numbers_of_images_share_few_programs(pipe: Pipeline) -> None:
    options = SIZE | {"steps": 6, "sampler": "euler_a", "seed": 5}
    prompts = [f"picture {i}" for i in range(6)]
    compiled = programs_ready()
    drawn = {count: pipe.draw(prompts[:count], **options) for count in (5, 6)}
    assert programs_ready() == compiled + 2  # the noise and the drawing
    assert drawn[5].images.shape == (5, 8, 8, 3)
    assert drawn[5].finite.shape == (6, 5)
    # The same program, so the same bits.
    np.testing.assert_array_equal(drawn[5].latents, drawn[6].latents[:5])
    np.testing.assert_array_equal(drawn[5].images, drawn[6].images[:5])
    noise = np.random.default_rng(0).standard_normal((5, 4, 4, 4)).astype(np.float32)
    given = pipe.draw(prompts[:5], latents=noise, guidance_scale=[3.0] * 5, **options)
    assert given.latents.shape == (5, 4, 4, 4)
    assert programs_ready() == compiled + 2


@pytest.mark.parametrize("interval", [(0.5, 0.4), (-0.1, 1.0), (0.0, 1.1), (float("nan"), 1.0)])
def test_an_interval_is_within_0_and_1(pipe: Pipeline, interval: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match=r"FROM, TO|out of range|not a finite"):
        pipe.draw("a cat", guidance_interval=interval, **SIZE)
