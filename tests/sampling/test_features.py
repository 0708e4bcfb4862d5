"""Contracts that every feature of a drawing keeps: a new row of the table is covered by a case."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import jax
import numpy as np
import pytest
from feature_cases import ALONE, APART, CASES, Asked, Case, all_at_once, ip_adapter
from tiny_models import relative_error

from jaxsd.pipeline.columns import COLUMNS
from jaxsd.sampling.features import FEATURES
from jaxsd.sampling.program import Drawing, decode, denoise, draw, encode
from jaxsd.types import Array

every_feature = pytest.mark.parametrize("name", FEATURES)

ROUNDING = 2e-5
"""Only the order of float32 sums may differ, and three rows amplify it."""
HEARD = 1e-4
"""A difference that is none of rounding."""


def case_of(name: str) -> Case:
    if name not in CASES:
        pytest.fail(f"give tests/feature_cases.py a case of the feature {name!r}", pytrace=False)
    return CASES[name]


def picked(asked: Asked, images: list[int]) -> Asked:
    """Some images of a drawing, in some order."""
    given = jax.tree.map(lambda a: a[np.array(images)], asked.given)
    runs = jax.tree.map(lambda a: a[:, np.array(images)], asked.runs)
    return asked._replace(given=given, runs=runs)


@cache
def whole(name: str) -> Drawing:
    """Three images with the feature."""
    return draw(*case_of(name).asked(3))


def in_parts(asked: Asked, rows: int) -> Array:
    """The images, by three programs, so many rows a call."""
    networks, params, given, runs = asked
    conditions, state = encode(networks, params, given)
    for run in runs:
        state = state._replace(memory={})
        for row in range(0, len(run.row.number), rows):
            part = jax.tree.map(lambda column, row=row: column[row : row + rows], run)
            state, finite = denoise(networks, params, part, conditions, state, given.keys)
            assert finite.all()
    return decode(networks, params, state.samples[:, 0])


@every_feature
def test_a_neutral_setting_gives_the_picture_without_it(name: str) -> None:
    case = case_of(name)
    neutral, without = draw(*case.neutral(3)), draw(*case.without(3))
    assert relative_error(neutral.latents, without.latents) < ROUNDING
    assert relative_error(neutral.images, without.images) < ROUNDING
    assert relative_error(whole(name).latents, without.latents) > HEARD


@every_feature
def test_one_compilation_for_all_values(name: str) -> None:
    first, compiled = whole(name), draw._cache_size()
    second = draw(*case_of(name).other(3))
    assert draw._cache_size() == compiled
    for image in range(3):
        assert relative_error(second.latents[image], first.latents[image]) > HEARD


def test_an_image_depends_on_its_own_alone() -> None:
    asked = all_at_once(3)
    together = draw(*asked)
    for order in ([1, 2, 0], [2, 0, 1]):
        elsewhere = draw(*picked(asked, order))
        assert relative_error(elsewhere.images, together.images[np.array(order)]) < ROUNDING


@pytest.mark.parametrize("name", [name for name in FEATURES if name != "motion"])
def test_other_images_of_the_batch_do_not_matter(name: str) -> None:
    elsewhere = draw(*picked(case_of(name).asked(3), [2, 0, 0]))
    assert relative_error(elsewhere.images, whole(name).images[np.array([2, 0, 0])]) < ROUNDING


@pytest.mark.parametrize(
    "asked", [all_at_once, *(CASES[name].asked for name in APART)], ids=["all at once", *APART]
)
def test_what_is_held_has_rows_for_each_image(asked: Callable[[int], Asked]) -> None:
    """So that images of a server can take each other's places."""
    two, three = (
        jax.eval_shape(partial(encode, one.networks), one.params, one.given)[0]
        for one in map(asked, (2, 3))
    )
    for a, b in zip(jax.tree.leaves(two), jax.tree.leaves(three), strict=True):
        assert 3 * a.shape[0] == 2 * b.shape[0]


@pytest.mark.release
def test_features_know_the_branches_of_each_call_of_sag() -> None:
    """SAG calls the U-Net for the last branch alone."""
    asked, shows = CASES["sag"].asked(1), ip_adapter(1)
    given = asked.given._replace(features=shows.given.features)
    [step] = asked.runs
    columns = step.columns | {"ip_adapter": shows.runs[0].columns["ip_adapter"]}
    told = (shows.params, given, (step._replace(columns=columns),))
    assert jax.eval_shape(partial(draw, shows.networks), *told).images.shape[0] == 1


@pytest.mark.release
def test_controlnets_know_the_branches_of_each_call_of_sag() -> None:
    """Of graphs, whose ControlNets have a weight for each of the three branches."""
    asked, nets = CASES["sag"].asked(1), ALONE["controlnet"].asked(1)
    given = asked.given._replace(features=nets.given.features)
    [step] = asked.runs
    weights = np.repeat(nets.runs[0].columns["controlnet"][..., None], 3, axis=-1)
    step = step._replace(columns=step.columns | {"controlnet": weights})
    told = (nets.params, given, (step,))
    assert jax.eval_shape(partial(draw, nets.networks), *told).images.shape[0] == 1


def test_in_parts_is_the_whole() -> None:
    asked = all_at_once(3)
    assert relative_error(in_parts(asked, 1), draw(*asked).images) < ROUNDING


@pytest.mark.release
def test_gradient_is_finite() -> None:
    networks, params, given, runs = all_at_once(3)

    @jax.jit
    @partial(jax.grad, argnums=0)
    def gradient(noise: Array, given: object, runs: object) -> Array:
        drawing = draw(networks, params, given._replace(noise=noise), runs)
        return (drawing.latents**2).mean()

    found = np.asarray(gradient(given.noise, given._replace(noise=None), runs))
    assert np.isfinite(found).all()
    assert np.abs(found).max() > 1e-8


@pytest.mark.slow
def test_a_mesh_draws_the_same(tmp_path: Path) -> None:
    tests = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("feature_runs.py"), tmp_path],
        env=os.environ
        | {
            "JAX_NUM_CPU_DEVICES": "8",
            "PYTHONPATH": os.pathsep.join([str(tests), str(tests.parent)]),
        },
        capture_output=True,
        text=True,
        timeout=1800,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) < ROUNDING


def test_every_column_is_of_a_feature() -> None:
    assert set(COLUMNS) <= set(FEATURES)
