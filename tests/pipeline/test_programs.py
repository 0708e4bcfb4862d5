"""How few programs a pipeline compiles, and that images of different settings share them."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from tiny_models import relative_error
from tiny_pipelines import SMALLEST, pipeline

from jaxsd.executables import Executables
from jaxsd.pipeline import Pipeline
from jaxsd.settings import Settings

SIZE = {"height": 4, "width": 4}
SAMPLERS = ("ddim", "euler_a", "dpm++_2m_karras", "unipc", "heun")


@pytest.fixture(scope="module")
def pipe() -> Iterator[Pipeline]:
    """With programs of its own, to be counted."""
    return replace(pipeline(SMALLEST), programs=Executables())


def row_by_row(done: int, rows: int) -> None:
    pass


def test_any_sampler_steps_and_guidance_by_six_programs(pipe: Pipeline) -> None:
    """Noise and decode; encode and denoise, each with one and with two branches."""
    pipe = replace(pipe, programs=Executables())
    for sampler in SAMPLERS:
        for steps in (10, 20, 30):
            for scale in (1.0, 5.0):
                options = {"sampler": sampler, "steps": steps, "guidance_scale": scale} | SIZE
                drawing = pipe.draw("a cat", progress=row_by_row, **options)
                assert drawing.images.shape == (1, 4, 4, 3)
    assert len(pipe.programs._ready) <= 6


DIFFERENT = [
    Settings("a cat", "a dog", seed=7, sampler="ddim", steps=6, guidance_scale=5.0, **SIZE),
    Settings("a dog", seed=8, sampler="euler_a", steps=5, guidance_scale=1.0, **SIZE),
    Settings("a hat", seed=9, sampler="dpm++_2m_karras", steps=4, guidance_scale=2.5, **SIZE),
    Settings("", seed=7, sampler="unipc", steps=3, guidance_scale=7.5, **SIZE),
    Settings("a cat", seed=7, sampler="heun", steps=3, guidance_scale=3.0, **SIZE),
]


def test_images_of_different_samplers_in_one_call_are_those_alone(pipe: Pipeline) -> None:
    together = pipe.draw(DIFFERENT, progress=row_by_row)
    assert together.images.shape == (5, 4, 4, 3)
    assert together.finite.shape == (6, 5)
    whole = pipe.draw(DIFFERENT)
    assert relative_error(whole.latents, together.latents) < 2e-5
    compiled = len(pipe.programs._ready)
    for i, settings in enumerate(DIFFERENT):
        # A batch of the same size, which has guidance where the others have: the same program.
        others = [settings] * 5 if i != 1 else [*[settings] * 4, DIFFERENT[0]]
        alone = pipe.draw(others, progress=row_by_row)
        for image in range(4):
            np.testing.assert_array_equal(alone.latents[image], together.latents[i])
            np.testing.assert_array_equal(alone.images[image], together.images[i])
    assert len(pipe.programs._ready) == compiled


def test_a_setting_for_all_replaces_that_of_each(pipe: Pipeline) -> None:
    order = pipe.order(DIFFERENT, steps=4, sampler="ddim")
    assert [one.seed for one in order.settings] == [7, 8, 9, 7, 7]
    assert {(one.sampler, one.steps) for one in order.settings} == {("ddim", 4)}
    assert order.rows == 4


def test_steps_show_every_row_and_may_be_left(pipe: Pipeline) -> None:
    order = pipe.order(DIFFERENT)
    compiled = len(pipe.programs._ready)
    for shown in pipe.steps(order):
        assert shown.rows == 6
        assert shown.state.x0.shape == (6, 2, 2, 4)
        assert shown.finite.shape == (1, 6)
        if shown.row == 2:
            break
    assert len(pipe.programs._ready) == compiled
    rows = [shown.row for shown in pipe.steps(order, rows_per_call=4)]
    assert rows == [4, 6]


def test_callbacks_see_every_row_and_change_nothing(pipe: Pipeline) -> None:
    """Five images in a batch of six, of different lengths."""
    plain = pipe.draw(DIFFERENT, progress=row_by_row)
    seen = []

    def see(caller: Pipeline, step: int, timestep: object, tensors: dict) -> dict:
        assert caller is pipe
        assert {name: one.shape for name, one in tensors.items()} == {"latents": (5, 2, 2, 4)}
        seen.append((step, timestep))
        return tensors

    drawing = pipe.draw(DIFFERENT, callback_on_step_end=see)
    np.testing.assert_array_equal(drawing.images, plain.images)
    assert [step for step, _ in seen] == [0, 1, 2, 3, 4, 5]
    assert len(set(seen[0][1].tolist())) > 1


def test_callbacks_change_latents_and_stop(pipe: Pipeline) -> None:
    wanted = np.full((5, 2, 2, 4), 0.25, np.float32)

    def at_the_end(caller: Pipeline, step: int, timestep: object, tensors: dict) -> dict | None:
        assert tensors.keys() == {"x0"}
        return {"latents": wanted} if step == 5 else None

    inputs = {"callback_on_step_end_tensor_inputs": ["x0"]}
    drawing = pipe.draw(DIFFERENT, callback_on_step_end=at_the_end, **inputs)
    np.testing.assert_array_equal(drawing.latents, wanted)
    with pytest.raises(ValueError, match=r"names out of latents, x0"):
        pipe.draw(
            DIFFERENT, callback_on_step_end=at_the_end, callback_on_step_end_tensor_inputs=["z"]
        )
    with pytest.raises(ValueError, match=r"gave latents of shape \(1,\), not \(5, 2, 2, 4\)"):
        pipe.draw(DIFFERENT, callback_on_step_end=lambda *_: {"latents": np.zeros(1)})


def test_what_is_prepared_is_not_compiled_again(pipe: Pipeline) -> None:
    options = {"steps": 3, "guidance_interval": (0.5, 1.0)} | SIZE
    for prepare, progress in ((Pipeline.prepare, None), (Pipeline.prepare_parts, row_by_row)):
        own = replace(pipe, programs=Executables())
        prepare(own, own.order("a cat", **options))
        compiled = len(own.programs._ready)
        own.draw("a dog", "a cat", seed=3, progress=progress, **options)
        assert len(own.programs._ready) == compiled


def test_a_pipeline_is_shown_in_one_line(pipe: Pipeline) -> None:
    shown = repr(pipe)
    assert "\n" not in shown
    assert len(shown) < 100
    assert "sd1" in shown.lower()
    assert "float32" in shown
    assert "cpu:0" in shown


def test_latents_decide_the_size(pipe: Pipeline) -> None:
    noise = np.random.default_rng(0).standard_normal((1, 2, 3, 4)).astype(np.float32)
    drawing = pipe.draw("a cat", latents=noise, steps=2)
    assert drawing.latents.shape == (1, 2, 3, 4)
    assert drawing.images.shape == (1, 4, 6, 3)


@pytest.mark.parametrize("seed", [True, 1.5, None, [1, 2], "one"])
def test_a_seed_that_is_none_is_one_line(pipe: Pipeline, seed: object) -> None:
    with pytest.raises(ValueError, match="seed") as error:
        pipe.order("a cat", seed=seed, **SIZE)
    assert "\n" not in str(error.value)


def test_seeds_of_numpy_count_up(pipe: Pipeline) -> None:
    order = pipe.order("a cat", seed=np.uint8(255), num_images=2, **SIZE)
    assert [one.seed for one in order.settings] == [255, 256]


@pytest.mark.parametrize("shape", [(2, 3, 4), (4,), (), (1, 2, 3, 5), (2, 2, 3, 4)])
def test_latents_of_another_form_are_one_line(pipe: Pipeline, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="latents have shape") as error:
        pipe.order("a cat", latents=np.zeros(shape, np.float32))
    assert "\n" not in str(error.value)
