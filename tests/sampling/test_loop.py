"""The scan: the same numbers as the slow loop, one compilation, independent images, gradients."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from slow_loop import relative_error, run_table

from jaxsd.config import ScheduleConfig
from jaxsd.sampling import advance, begin, first_non_finite, rows, sample
from jaxsd.sampling.loop import fresh_noise
from jaxsd.schedulers import SAMPLERS, NoiseSchedule, build, padded

SCHEDULE = NoiseSchedule.from_config(ScheduleConfig())
ROWS = 21
STEPS = {"pndm": 20, "heun": 11}
KEYS = jax.vmap(jax.random.key)(jnp.arange(3))
X = jax.random.normal(jax.random.key(7), (3, 4, 4, 2))


def toy(x, timestep):
    return 0.6 * jnp.tanh(x) * jnp.cos(timestep / 400) + 0.2 * jnp.sin(2 * x)


def table(name, prediction="v", **options):
    """A table of 21 rows."""
    return build(name, SCHEDULE, STEPS.get(name, ROWS), prediction, **options)


# One program each for the whole module; compiling takes longer than all the runs.
run = jax.jit(lambda tableau, x, keys: sample(tableau, toy, x, keys))
run_part = jax.jit(lambda part, state, first: advance(part, toy, state, KEYS, first_row=first))
loss = jax.jit(lambda tableau, x: (sample(tableau, toy, x, KEYS) ** 2).mean())
gradient = jax.jit(jax.grad(loss, (0, 1)))


@pytest.mark.parametrize("name", SAMPLERS)
def test_agrees_with_the_slow_loop(name):
    """float32 against float64, with the noise that the scan draws."""
    tableau = table(name)
    noises = np.stack([fresh_noise(KEYS, jnp.int32(row), X) for row in range(ROWS)])
    want = run_table(tableau, np.asarray(X, np.float64), noises.astype(np.float64))
    assert relative_error(np.asarray(run(tableau, X, KEYS)), want) <= 2e-5


def test_one_program_for_every_sampler_of_one_row_count():
    traces = []

    @jax.jit
    def counted(tableau, x, keys):
        traces.append(tableau.rows)
        return sample(tableau, toy, x, keys)

    for name in SAMPLERS:
        for prediction in ("epsilon", "v"):
            counted(table(name, prediction), X, KEYS)
    counted(table("ddim", eta=0.5), X, KEYS)
    counted(table("dpm++_2m", sigmas="karras"), X, KEYS)
    counted(padded(build("euler", SCHEDULE, 9, "v"), ROWS), X, KEYS)
    assert traces == [ROWS]
    counted(build("euler", SCHEDULE, 9, "v"), X, KEYS)
    assert traces == [ROWS, 9]


def test_padding_changes_nothing():
    short = build("dpm++_2m_sde", SCHEDULE, 9, "v")
    got = run(padded(short, ROWS), X, KEYS)
    np.testing.assert_allclose(got, run(short, X, KEYS), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["dpm++_2m_sde", "unipc", "heun", "pndm"])
def test_in_parts(name):
    """Rows 0-6, 7-8, 9-20 from the state carried between them are the whole, noise included."""
    tableau = table(name)
    state = begin(tableau, X)
    for first, end in ((0, 7), (7, 9), (9, ROWS)):
        part = rows(tableau, first, end)
        assert part.rows == end - first
        assert part.sigma.shape == (part.rows + 1,)
        state, finite = run_part(part, state, first)
        assert finite.shape == (part.rows, 3)
        assert finite.all()
    np.testing.assert_allclose(state.samples[0], run(tableau, X, KEYS), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["ddpm", "euler_a", "lcm"])
def test_an_image_depends_on_its_own_noise_and_key_alone(name):
    """At batch 1, 2 and 3, and in any position, as far as float32 vector code allows."""
    tableau = table(name)
    together = run(tableau, X, KEYS)
    for order in ([1], [2, 0], [2, 1, 0]):
        picked = jnp.array(order)
        np.testing.assert_allclose(
            run(tableau, X[picked], KEYS[picked]), together[picked], rtol=1e-5, atol=1e-6
        )
    other = run(tableau, X, KEYS[::-1])
    assert jnp.abs(other[0] - together[0]).max() > 0.01


def test_fresh_noise_is_unit_and_differs_between_rows_and_images():
    x = jnp.zeros((3, 32, 32, 4))
    noises = jnp.stack([fresh_noise(KEYS, jnp.int32(row), x) for row in range(4)])
    assert jnp.abs(noises.std(axis=(2, 3, 4)) - 1).max() < 0.05
    flat = noises.reshape(12, -1)
    assert jnp.abs(jnp.corrcoef(flat) - jnp.eye(12)).max() < 0.08


@pytest.mark.parametrize("name", SAMPLERS)
def test_gradient_is_finite_and_right(name):
    """Of a loss on the result, by the first sample and by the table, against a difference."""
    tableau = table(name)
    of_table, of_x = gradient(tableau, X)
    assert all(jnp.isfinite(leaf).all() for leaf in (*of_table, of_x))
    direction = jax.random.normal(jax.random.key(3), X.shape)
    difference = (loss(tableau, X + 1e-2 * direction) - loss(tableau, X - 1e-2 * direction)) / 2e-2
    assert jnp.vdot(of_x, direction) == pytest.approx(float(difference), rel=0.05, abs=2e-3)


def test_hooks():
    """on_x0 sees x0 whatever the method keeps, on_sample the new sample; both know the row."""
    clip = partial(sample, on_x0=lambda x0, row: jnp.clip(x0, -0.1, 0.1))
    clipped = jax.jit(lambda tableau: clip(tableau, toy, X, KEYS))
    for name in ("ddim", "pndm", "lms"):
        tableau = table(name)
        # x0 within 0.1, a little beyond where a method extrapolates, and the noise it ends with.
        assert jnp.abs(clipped(tableau)).max() <= 0.11 + 3.5 * tableau.sigma[-1]
        assert jnp.abs(run(tableau, X, KEYS)).max() > 0.5
    hold = partial(sample, on_sample=lambda z, row: jnp.where(row == ROWS - 1, 5.0, z))
    np.testing.assert_array_equal(hold(table("ddim"), toy, X, KEYS), jnp.full(X.shape, 5.0))


def test_first_row_that_is_not_finite():
    def breaks(x, timestep):
        return jnp.where(timestep < 600, x.at[1].set(jnp.nan), x)

    tableau = table("ddim")
    _, finite = advance(tableau, breaks, begin(tableau, X), KEYS)
    row = int(np.argmax(tableau.timestep < 600))
    assert first_non_finite(finite) == row
    assert finite[row].tolist() == [True, False, True]
    assert first_non_finite(finite[:row]) is None


def test_first_sample():
    for name in ("euler", "ddim"):
        tableau = table(name)
        np.testing.assert_allclose(begin(tableau, X).samples[0], tableau.start * X, rtol=1e-6)
