"""The scan: the same numbers as the slow loop, one compilation, independent images, gradients."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from slow_loop import relative_error, run_table

from jaxsd.config import ScheduleConfig
from jaxsd.sampling import Step, advance, begin, first_non_finite, rows_of, sample
from jaxsd.sampling.loop import fresh_noise
from jaxsd.schedulers import SAMPLERS, NoiseSchedule, build, padded

SCHEDULE = NoiseSchedule.from_config(ScheduleConfig())
ROWS = 21
STEPS = {"pndm": 20} | dict.fromkeys(
    ("heun", "dpm2", "dpm2_a", "dpm++_sde", "dpm++_2s_a", "restart"), 11
)
KEYS = jax.vmap(jax.random.key)(jnp.arange(3))
X = jax.random.normal(jax.random.key(7), (3, 4, 4, 2))


def toy(x, timestep):
    return 0.6 * jnp.tanh(x) * jnp.cos(timestep / 400) + 0.2 * jnp.sin(2 * x)


def toy_network(x, step, memory):
    """The toy for the loop, which has a timestep for each image."""
    timestep = step.row.timestep[:, None, None, None]
    return 0.6 * jnp.tanh(x) * jnp.cos(timestep / 400) + 0.2 * jnp.sin(2 * x), memory


def table(name, prediction="v", **options):
    """A table of 21 rows."""
    return build(name, SCHEDULE, STEPS.get(name, ROWS), prediction, **options)


def noise_of_row(row, x):
    return fresh_noise(KEYS, jnp.full(3, row, jnp.int32), x)


# One program each for the whole module; compiling takes longer than all the runs.
run = jax.jit(lambda tableau, x, keys: sample(tableau, toy, x, keys))
run_rows = jax.jit(lambda rows, state: advance(Step(rows, {}), toy_network, state, KEYS))
loss = jax.jit(lambda tableau, x: (sample(tableau, toy, x, KEYS) ** 2).mean())
gradient = jax.jit(jax.grad(loss, (0, 1)))


@pytest.mark.parametrize("name", SAMPLERS)
def test_agrees_with_the_slow_loop(name):
    """float32 against float64, with the noise that the scan draws."""
    tableau = table(name)
    noises = np.stack([noise_of_row(row, X) for row in range(ROWS)])
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


def begun(tableaus, x):
    return begin(np.stack([tableau.start for tableau in tableaus]), x)


@pytest.mark.parametrize("name", ["dpm++_2m_sde", "unipc", "heun", "pndm"])
def test_in_parts(name):
    """Rows 0-6, 7-8, 9-20 from the state carried between them are the whole, noise included."""
    tableau = table(name)
    rows, state = rows_of([tableau] * 3), begun([tableau] * 3, X)
    for first, end in ((0, 7), (7, 9), (9, ROWS)):
        part = jax.tree.map(lambda column, first=first, end=end: column[first:end], rows)
        state, finite = run_rows(part, state)
        assert finite.shape == (end - first, 3)
        assert finite.all()
    np.testing.assert_allclose(state.samples[:, 0], run(tableau, X, KEYS), rtol=1e-5, atol=1e-6)


FIVE = [("ddim", 6), ("euler_a", 6), ("dpm++_2m_karras", 6), ("unipc", 4), ("heun", 3)]
FIVE_KEYS = jax.vmap(jax.random.key)(jnp.arange(5))
FIVE_X = jax.random.normal(jax.random.key(9), (5, 4, 4, 2))
run_five = jax.jit(lambda rows, state: advance(Step(rows, {}), toy_network, state, FIVE_KEYS))


def test_images_of_different_samplers_in_one_call_are_those_alone_to_the_bit():
    """Alone at the same batch size: five times the same image."""
    tableaus = [build(name, SCHEDULE, steps, "v") for name, steps in FIVE]
    together, _ = run_five(rows_of(tableaus), begun(tableaus, FIVE_X))
    for i, tableau in enumerate(tableaus):
        rows = rows_of([*[tableau] * 5, tableaus[0]])  # as many rows, idle ones among them
        rows = jax.tree.map(lambda column: column[:, :5], rows)
        alone, _ = run_five(rows, begun([tableau] * 5, FIVE_X))
        np.testing.assert_array_equal(alone.samples[i], together.samples[i])


def test_images_at_different_rows_share_a_call_to_the_bit():
    """Continuous batching: five images that joined at different times, row by row."""
    tableaus = [build(name, SCHEDULE, steps, "v") for name, steps in FIVE]
    rows, ends = rows_of(tableaus), np.array([tableau.rows for tableau in tableaus])
    whole = state = begun(tableaus, FIVE_X)
    for row in range(max(ends)):
        whole, _ = run_five(jax.tree.map(lambda column, row=row: column[[row]], rows), whole)
    cursor, images = np.array([0, -2, -1, -3, 0]), np.arange(5)
    while (cursor < ends).any():
        at = np.clip(cursor, 0, max(ends) - 1)
        now = jax.tree.map(lambda column, at=at: column[at, images][None], rows)
        after, _ = run_five(now, state)
        live = (cursor >= 0) & (cursor < ends)
        state = jax.tree.map(
            lambda new, old, live=live: np.where(live.reshape(-1, *[1] * (new.ndim - 1)), new, old),
            after,
            state,
        )
        cursor += 1
    np.testing.assert_array_equal(state.samples[:, 0], whole.samples[:, 0])


def test_a_picture_to_begin_from_is_noised_to_the_first_level():
    tableau = build("euler", SCHEDULE, 20, "v", strength=0.5)
    source = jax.random.normal(jax.random.key(4), X.shape)
    start = np.stack([tableau.start] * 3)
    want = tableau.alpha[0] * source + tableau.sigma[0] * X
    np.testing.assert_allclose(begin(start, X, source).samples[:, 0], want, rtol=1e-6, atol=1e-6)


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
    noises = jnp.stack([noise_of_row(row, x) for row in range(4)])
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


def last_is_five(z, step):
    return jnp.where(step.row.number[:, None, None, None] == ROWS - 1, 5.0, z)


def test_hooks():
    """on_x0 sees x0 whatever the method keeps, on_sample the new sample; both know the row."""
    clip = partial(sample, on_x0=lambda x0, step: jnp.clip(x0, -0.1, 0.1))
    clipped = jax.jit(lambda tableau: clip(tableau, toy, X, KEYS))
    for name in ("ddim", "pndm", "lms"):
        tableau = table(name)
        # x0 within 0.1, a little beyond where a method extrapolates, and the noise it ends with.
        assert jnp.abs(clipped(tableau)).max() <= 0.11 + 3.5 * tableau.sigma[-1]
        assert jnp.abs(run(tableau, X, KEYS)).max() > 0.5
    hold = partial(sample, on_sample=last_is_five)
    np.testing.assert_array_equal(hold(table("ddim"), toy, X, KEYS), jnp.full(X.shape, 5.0))


def test_a_column_has_the_noise_instead_of_the_keys():
    """Row i of it is what `run_table` adds in row i."""
    tableau, noises = table("euler_a"), np.random.default_rng(1).standard_normal((ROWS, *X.shape))
    rows = rows_of([tableau] * len(X))
    column = {"fresh": noises.astype(np.float32)}
    state = begin(np.stack([tableau.start] * len(X)), X)
    state, _ = jax.jit(lambda steps, state: advance(steps, toy_network, state, KEYS))(
        Step(rows, column), state
    )
    want = run_table(tableau, np.asarray(X, np.float64), noises)
    assert relative_error(np.asarray(state.samples[:, 0]), want) <= 2e-5


def test_first_row_that_is_not_finite():
    def breaks(x, step, memory):
        late = step.row.timestep[:, None, None, None] < 600
        return jnp.where(late, x.at[1].set(jnp.nan), x), memory

    tableau = table("ddim")
    steps = Step(rows_of([tableau] * 3), {})
    _, finite = advance(steps, breaks, begun([tableau] * 3, X), KEYS)
    row = int(np.argmax(tableau.timestep < 600))
    assert first_non_finite(finite) == row
    assert finite[row].tolist() == [True, False, True]
    assert first_non_finite(finite[:row]) is None


def test_first_sample():
    for name in ("euler", "ddim"):
        tableau = table(name)
        state = begun([tableau] * 3, X)
        np.testing.assert_allclose(state.samples[:, 0], tableau.start[1] * X, rtol=1e-6)
