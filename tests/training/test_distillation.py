"""Distillation where the best network, and so the best student, is a formula."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxsd.config import ScheduleConfig
from jaxsd.sampling import sample
from jaxsd.sampling.loop import per_image
from jaxsd.schedulers import Grid, NoiseSchedule, build
from jaxsd.schedulers.grid import distillation_grid, training_grid
from jaxsd.training.distillation import (
    Denoise,
    Estimate,
    Level,
    consistency_errors,
    ddim_step,
    estimate,
    guided,
    jump,
    progressive_errors,
    pseudo_huber,
    two_steps_in_one,
)
from jaxsd.training.losses import target
from jaxsd.training.progressive import teacher_grid
from jaxsd.types import Array

SCHEDULE = NoiseSchedule.from_config(
    ScheduleConfig(zero_terminal_snr=True, timestep_spacing="trailing", set_alpha_to_one=True)
)
WIDTH = 0.5


def level(timestep: int, count: int = 4) -> Level:
    return Level(
        *(jnp.full(count, of[timestep]) for of in (np.arange(1000), SCHEDULE.alpha, SCHEDULE.sigma))
    )


def gaussian(x: Array, at: Level) -> Estimate:
    """The best network for x0 of deviation `WIDTH` about 0: linear in x."""
    alpha, sigma = at.alpha, at.sigma
    x0 = per_image(alpha * WIDTH**2 / (alpha**2 * WIDTH**2 + sigma**2), x)
    return Estimate(x0, per_image(1 / sigma, x - per_image(alpha, x0)))


@pytest.mark.parametrize("prediction", ["epsilon", "v", "sample"])
def test_an_estimate_takes_a_sample_apart(prediction: str) -> None:
    x0, noise = np.random.default_rng(0).standard_normal((2, 4, 3)).astype(np.float32)
    at = level(400)
    alpha, sigma = at.alpha[:, None], at.sigma[:, None]
    output = target(prediction, alpha, sigma, x0, noise)
    found = estimate(prediction, alpha * x0 + sigma * noise, at, output)
    np.testing.assert_allclose(found.x0, x0, atol=1e-5)
    np.testing.assert_allclose(found.noise, noise, atol=1e-5)


def test_guidance_is_one_and_w_times_one_less_w_times_the_other() -> None:
    told, untold = np.random.default_rng(0).standard_normal((2, 4, 3)).astype(np.float32)
    w = np.array([0.0, 0.5, 1.5, 7.0], np.float32)
    wanted = (1 + w[:, None]) * told - w[:, None] * untold
    np.testing.assert_allclose(guided(1 + w, told, untold), wanted, atol=1e-5)


def test_the_jump_at_timestep_0_is_the_identity() -> None:
    x = jnp.ones((4, 2))
    np.testing.assert_array_equal(jump(lambda x, at: Estimate(7 * x, x), x, level(0)), x)
    far = jump(lambda x, at: Estimate(7 * x, x), x, level(500))
    np.testing.assert_allclose(far, 7, rtol=1e-6)


def test_the_pseudo_huber_loss_is_a_square_near_0_and_a_distance_far_away() -> None:
    far, near = np.float32([[3.0, -4.0]]), np.float32([[1e-3, -2e-3]])
    np.testing.assert_allclose(pseudo_huber(far, 1e-3), [3.5], rtol=1e-3)
    np.testing.assert_allclose(pseudo_huber(near, 1.0), (near**2).mean(1) / 2, rtol=1e-3)


def test_two_steps_of_a_linear_teacher_are_exactly_one_of_the_student() -> None:
    x = jax.random.normal(jax.random.key(0), (4, 2))
    at, between, after = level(749), level(624), level(499)
    ends = ddim_step(gaussian, ddim_step(gaussian, x, at, between), between, after)
    x0 = two_steps_in_one(gaussian, x, at, between, after)

    def student(x: Array, at: Level) -> Estimate:
        return Estimate(x0, (x - per_image(at.alpha, x0)) / per_image(at.sigma, jnp.ones_like(x)))

    np.testing.assert_allclose(ddim_step(student, x, at, after), ends, atol=1e-6)
    assert float(progressive_errors(student, gaussian, x, at, between, after).max()) < 1e-10
    other = progressive_errors(gaussian, gaussian, x, at, between, after)
    gap = (gaussian(x, at).x0 - x0) ** 2 * max(1.0, float(at.alpha[0] / at.sigma[0]) ** 2)
    np.testing.assert_allclose(other, gap.mean(1), rtol=1e-5)


def test_the_exact_jump_of_a_gaussian_is_consistent_up_to_the_teachers_step() -> None:
    # The flow scales x by the deviation at its end over that where it is (Song et al. 2020).
    def exact(x: Array, at: Level) -> Estimate:
        deviation = jnp.sqrt(at.alpha**2 * WIDTH**2 + at.sigma**2)
        return Estimate(per_image(WIDTH / deviation, x), x)

    x = jax.random.normal(jax.random.key(0), (4, 2))
    error = [
        float(consistency_errors(exact, exact, gaussian, x, level(600), level(600 - k), 1e-6).max())
        for k in (100, 50, 25)
    ]
    assert error[0] < 0.02
    np.testing.assert_allclose(np.divide(error[:-1], error[1:]), 4, rtol=0.25)  # order 1: O(k^2)
    wrong = consistency_errors(gaussian, exact, gaussian, x, level(600), level(550), 1e-6)
    assert float(wrong.max()) > 20 * error[1]


def test_no_derivative_goes_through_targets() -> None:
    x, at, between, after = jnp.ones((4, 2)), level(749), level(624), level(499)

    def scaled(a: Array) -> Denoise:
        return lambda x, at: Estimate(a * x, x)

    def both(a: Array, b: Array) -> Array:
        consistent = consistency_errors(scaled(a), scaled(b), scaled(b), x, at, after, 1e-3)
        return (consistent + progressive_errors(scaled(a), scaled(b), x, at, between, after)).sum()

    of_student, of_others = jax.grad(both, argnums=(0, 1))(0.3, 0.7)
    assert of_student != 0
    assert of_others == 0


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 6, 8, 16])
def test_every_second_level_of_the_teacher_is_one_of_the_student(steps: int) -> None:
    grid, own = teacher_grid(SCHEDULE, steps), training_grid(SCHEDULE, steps, spacing="trailing")
    np.testing.assert_array_equal(grid.timestep[::2], own.timestep)
    np.testing.assert_array_equal(grid.alpha[::2], own.alpha)
    np.testing.assert_array_equal(grid.sigma[::2], own.sigma)


CENTRES = jnp.float32([[-1.0, 0.5], [0.2, -1.0], [1.0, 0.9]])
SPREAD = 0.15


def mixture(x: Array, at: Level) -> Estimate:
    """The best network for a mixture of three Gaussians in the plane."""
    alpha, sigma = at.alpha[:, None], at.sigma[:, None]
    variance = sigma**2 + (alpha * SPREAD) ** 2
    apart = x[:, None] - alpha[..., None] * CENTRES[None]
    share = jax.nn.softmax(-(apart**2).sum(-1) / (2 * variance))
    means = CENTRES[None] + (alpha * SPREAD**2 / variance)[..., None] * apart
    x0 = (share[..., None] * means).sum(1)
    return Estimate(x0, (x - alpha * x0) / jnp.maximum(sigma, 1e-6))


def small_network(key: Array) -> dict[str, Array]:
    keys = jax.random.split(key, 3)
    sizes = ((2 + 8, 64), (64, 64), (64, 2))
    return {
        f"{name}{i}": jax.random.normal(k, s) / s[0] ** 0.5 if name == "w" else jnp.zeros((1, s[1]))
        for i, (k, s) in enumerate(zip(keys, sizes, strict=True))
        for name in "wb"
    }


def output(params: dict[str, Array], x: Array, timestep: Array) -> Array:
    """v of a network of two hidden layers."""
    turn = timestep[:, None] / 1000 * jnp.pi * 2.0 ** jnp.arange(-1, 3)[None]
    y = jnp.concatenate([x, jnp.sin(turn), jnp.cos(turn)], axis=1)
    for i in range(2):
        y = jnp.tanh(y @ params[f"w{i}"] + params[f"b{i}"])
    return y @ params["w2"] + params["b2"]


def network(params: dict[str, Array]) -> Denoise:
    return lambda x, at: estimate("v", x, at, output(params, x, at.timestep))


Errors = Callable[[Denoise, Array, Array], Array]
"""(student, x0, key) -> errors [B]."""


def points(key: Array, count: int) -> Array:
    """Of the mixture, [count, 2]."""
    key_centre, key_width = jax.random.split(key)
    chosen = jax.random.randint(key_centre, (count,), 0, len(CENTRES))
    return CENTRES[chosen] + SPREAD * jax.random.normal(key_width, (count, 2))


def learnt(errors: Errors, updates: int) -> Denoise:
    """A student of the mixture."""
    optimizer = optax.adam(optax.cosine_decay_schedule(1e-2, updates))

    def update(state: tuple, key: Array) -> tuple[tuple, None]:
        params, inner = state
        key_data, key_error = jax.random.split(key)
        x0 = points(key_data, BATCH)
        slope = jax.grad(lambda own: errors(network(own), x0, key_error).mean())(params)
        step, inner = optimizer.update(slope, inner)
        return (optax.apply_updates(params, step), inner), None

    params = small_network(jax.random.key(0))
    keys = jax.random.split(jax.random.key(1), updates)
    run = jax.jit(lambda state: jax.lax.scan(update, state, keys)[0])
    return network(run((params, optimizer.init(params)))[0])


def noised(x0: Array, key: Array, at: Level) -> Array:
    return per_image(at.alpha, x0) + per_image(at.sigma, jax.random.normal(key, x0.shape))


def levels(grid: Grid, number: Array) -> Level:
    columns = np.append(grid.timestep, 0), grid.alpha, grid.sigma
    return Level(*(jnp.asarray(column, jnp.float32)[number] for column in columns))


def drawn(denoise: Denoise, sampler: str, steps: int, **options: object) -> Array:
    """By a sampler of the table of all, from the same noise, [512, 2]."""

    def x0(x: Array, timestep: Array) -> Array:
        at = jnp.full(len(x), timestep)
        alpha, sigma = (jnp.asarray(of, jnp.float32) for of in (SCHEDULE.alpha, SCHEDULE.sigma))
        number = at.astype(jnp.int32)
        return denoise(x, Level(at, alpha[number], sigma[number])).x0

    table = build(sampler, SCHEDULE, steps, "sample", **options)
    keys = jax.random.split(jax.random.key(3), len(NOISE))
    return jax.jit(lambda noise: sample(table, x0, noise, keys))(NOISE)


def distance(a: Array, b: Array) -> float:
    """Root of the mean square, point by point."""
    return float(jnp.sqrt(jnp.square(a - b).sum(-1).mean()))


def energy_distance(a: Array, b: Array) -> float:
    """Of two sets of points, 0 for two of the same distribution (Szekely and Rizzo 2013)."""

    def apart(a: Array, b: Array) -> Array:
        return jnp.sqrt(jnp.square(a[:, None] - b[None]).sum(-1) + 1e-12).mean()

    return float(2 * apart(a, b) - apart(a, a) - apart(b, b))


BATCH = 128
NOISE = jax.random.normal(jax.random.key(2), (512, 2))


@pytest.mark.slow
def test_a_progressive_student_of_two_steps_ends_where_four_of_its_teacher_do() -> None:
    grid = teacher_grid(SCHEDULE, 2)

    def errors(student: Denoise, x0: Array, key: Array) -> Array:
        key_number, key_noise = jax.random.split(key)
        number = 2 * jax.random.randint(key_number, (BATCH,), 0, 2)
        at, between, after = (levels(grid, number + i) for i in range(3))
        x = noised(x0, key_noise, at)
        return progressive_errors(student, mixture, x, at, between, after)

    wanted, alone = drawn(mixture, "ddim", 4), drawn(mixture, "ddim", 2)
    found = distance(drawn(learnt(errors, 600), "ddim", 2), wanted)
    assert found < 0.1
    assert distance(alone, wanted) > 3 * found


def test_a_consistent_student_ends_in_one_step_where_its_teacher_does_in_many() -> None:
    grid = distillation_grid(SCHEDULE, 10, original_steps=10)

    def errors(student: Denoise, x0: Array, key: Array) -> Array:
        key_number, key_noise = jax.random.split(key)
        number = jax.random.randint(key_number, (BATCH,), 0, 10)
        at, after = levels(grid, number), levels(grid, number + 1)
        x = noised(x0, key_noise, at)
        return consistency_errors(student, student, mixture, x, at, after, 1.0)

    own, many = learnt(errors, 1500), drawn(mixture, "ddim", 50)
    # Points near the middle between two centres may end at the other one; so it is not near 0.
    found, alone = (distance(drawn(one, "lcm", 1), many) for one in (own, mixture))
    assert found < 0.6
    assert alone > 2 * found
    # With more steps, new noise leads to other points of the same distribution.
    of_data, told = points(jax.random.key(4), 512), {"original_steps": 10}
    for steps in (1, 4):
        found, alone = (
            energy_distance(drawn(one, "lcm", steps, **told), of_data) for one in (own, mixture)
        )
        assert found < 0.05
        assert alone > 2 * found
