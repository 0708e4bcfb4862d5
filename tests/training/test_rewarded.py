"""Rewards by derivatives, by policy gradients and by pairs: on Gaussians whose optimum is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsd.config import ScheduleConfig
from jaxsd.sampling import Step, sample
from jaxsd.sampling.actions import log_densities, play
from jaxsd.sampling.own import rows_like, told
from jaxsd.schedulers import NoiseSchedule, Tableau, build
from jaxsd.training.policy import advantages, clipped_loss
from jaxsd.training.preferences import preference_margins
from jaxsd.types import Array

SCHEDULE = NoiseSchedule.from_config(ScheduleConfig())
GAIN, TARGET = 0.4, 1.5
"""The network gives x0 = GAIN * x + theta; the reward is -(x - TARGET)^2."""


def chain(table: Tableau) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """z' = a z + b theta + s noise for each row, as the table says."""
    from_x0 = table.history[:, 0, 0] * table.keep[:, 1]
    straight = table.samples[:, 0, 0] + table.history[:, 0, 0] * table.keep[:, 0]
    a = straight + from_x0 * (table.c_skip + table.c_out * GAIN * table.c_in)
    return np.float64(a), np.float64(from_x0 * table.c_out), np.float64(table.noise[:, 0])


def mean_and_variance(table: Tableau, thetas: np.ndarray) -> tuple[float, float]:
    """Of the last sample, with a theta for each row."""
    mean, variance = 0.0, float(table.start[1]) ** 2
    for a, b, s, theta in zip(*chain(table), thetas, strict=True):
        mean, variance = a * mean + b * theta, a**2 * variance + s**2
    return mean, variance


def slope(table: Tableau, theta: float, rows: slice) -> float:
    """The derivative of the mean reward by theta in some rows: -2 (mean - TARGET) dmean."""
    thetas = np.full(table.rows, theta)
    mean, _ = mean_and_variance(table, thetas)
    moved = thetas.copy()
    moved[rows] += 1.0
    return -2 * (mean - TARGET) * (mean_and_variance(table, moved)[0] - mean)  # it is linear


def network_of(theta: Array) -> object:
    """With a theta for each sample, so that each has a gradient of its own."""
    return lambda x, timestep: GAIN * x + theta[:, None]


def keys_of(count: int, seed: int) -> Array:
    return jax.random.split(jax.random.key(seed, impl="unsafe_rbg"), count)


@pytest.mark.parametrize("last", [1, 2, None])
def test_the_gradient_of_a_reward_through_the_last_rows_is_the_closed_form(
    last: int | None,
) -> None:
    table, count = build("ddim", SCHEDULE, 5, "sample"), 16
    noise = np.random.default_rng(0).standard_normal((count, 1), np.float32)
    noise = (noise - noise.mean()) / noise.std()  # so its moments are exact
    keys = keys_of(count, 0)

    def reward(theta: Array) -> Array:
        network = network_of(jnp.broadcast_to(theta, count))
        drawn = sample(table, network, noise, keys, remat=True, last=last)
        return -jnp.square(drawn - TARGET).mean()

    climb, theta = jax.jit(jax.value_and_grad(reward)), 0.2
    found, gradient = climb(theta)
    mean, variance = mean_and_variance(table, np.full(5, theta))
    assert float(found) == pytest.approx(-((mean - TARGET) ** 2) - variance, rel=1e-4)
    rows = slice(None) if last is None else slice(-last, None)
    assert float(gradient) == pytest.approx(slope(table, theta, rows), rel=1e-4)
    for _ in range(100):
        theta = theta + 0.2 * float(climb(theta)[1])
    assert mean_and_variance(table, np.full(5, theta))[0] == pytest.approx(TARGET, abs=1e-3)


COUNT = 8192
TABLES = {
    "all rows act": build("ddim", SCHEDULE, 5, "sample", eta=1.0),
    "the last adds no noise": build("ddim", SCHEDULE, 5, "sample", eta=1.0, set_alpha_to_one=True),
}


@jax.jit
def estimates(table: Tableau, theta: Array, seed: Array) -> tuple[Array, Array]:
    """Rewards [B], and minus each sample's gradient [B] of `clipped_loss`.

    The rewards are compared with their mean, which makes the variance less.
    """
    steps, keys = Step(rows_like(table, COUNT), {}), keys_of(COUNT, 0)
    keys = jax.vmap(jax.random.fold_in, (0, None))(keys, seed)
    z = jax.random.normal(jax.random.fold_in(keys[0], 7), (COUNT, 1)) * table.start[1]
    played = play(steps, told(network_of(jnp.full(COUNT, theta))), z, keys)
    rewards = -jnp.square(played.samples[-1, :, 0] - TARGET)
    acting = steps.row.noise[:, :, 0] > 0

    def loss(thetas: Array) -> Array:
        found = log_densities(steps, told(network_of(thetas)), played.samples)
        ratios = found - played.log_densities
        return COUNT * clipped_loss(ratios, rewards - rewards.mean(), 0.2, acting)[0]

    return rewards, -jax.grad(loss)(jnp.full(COUNT, theta))


@pytest.mark.parametrize("name", TABLES)
def test_policy_gradients_are_unbiased_and_lead_to_the_optimum(name: str) -> None:
    table, theta = TABLES[name], 0.2
    rewards, gradients = map(np.float64, estimates(table, theta, 0))
    mean, variance = mean_and_variance(table, np.full(5, theta))
    error = rewards.std() / np.sqrt(COUNT)
    assert abs(rewards.mean() + (mean - TARGET) ** 2 + variance) < 4 * error
    # A row without noise is no action: what theta does there counts for nothing.
    acting = slice(None) if table.noise[-1, 0] else slice(-1)
    wanted = slope(table, theta, acting)
    error = gradients.std() / np.sqrt(COUNT)
    assert abs(gradients.mean() - wanted) < 4 * error
    least = min(abs(wanted), abs(slope(table, theta, slice(None)) - slope(table, theta, slice(-1))))
    assert 4 * error < least  # so another derivative would be seen
    for update in range(1, 26):
        theta = theta + 0.2 * float(estimates(table, theta, update)[1].mean())
    assert mean_and_variance(table, np.full(5, theta))[0] == pytest.approx(TARGET, abs=0.05)


def test_ratios_are_clipped_where_that_makes_the_objective_lower() -> None:
    ratios = np.float32([[0.5, 2.0, 0.5, 2.0, 1.1]])
    better = np.float32([1, 1, -1, -1, 2])
    acting = np.ones((2, 5), bool)
    acting[1] = False  # a row without noise counts for nothing, whatever its ratio
    log_ratios = np.log(np.concatenate([ratios, ratios]))

    def loss_of(log_ratios: Array) -> tuple[Array, Array]:
        return clipped_loss(log_ratios, better, 0.2, acting)

    (loss, outside), slopes = jax.jit(jax.value_and_grad(loss_of, has_aux=True))(log_ratios)
    assert float(loss) == pytest.approx(-(0.5 + 1.2 - 0.8 - 2.0 + 2.2) / 5, rel=1e-5)
    assert float(outside) == pytest.approx(4 / 5)
    want = -np.float32([0.5, 0, 0, -2.0, 2.2]) / 5  # a clipped one has no gradient
    np.testing.assert_allclose(slopes, np.stack([want, 0 * want]), rtol=1e-5)


def test_advantages_compare_pictures_of_the_same_prompt() -> None:
    rewards, prompts = np.float64([1, 3, 100, 300, 5, 5]), np.array([0, 0, 7, 7, 2, 2])
    np.testing.assert_allclose(advantages(rewards, prompts), [-1, 1, -1, 1, 0, 0])


def test_preferences_have_the_closed_form_and_its_gradient() -> None:
    """A model that predicts theta * x, against one that predicts 0.5 * x."""
    rng, beta, theta = np.random.default_rng(0), 3.0, 0.8
    x, wanted = rng.standard_normal((2, 2, 6, 10))  # of pairs: [2, B, D]

    def errors(theta: Array) -> Array:
        return jnp.square(theta * x - wanted).mean(-1)

    def loss(theta: Array) -> Array:
        margins = preference_margins(errors(theta), errors(0.5), beta)
        return -jax.nn.log_sigmoid(margins).mean()

    gains = ((theta * x - wanted) ** 2).mean(-1) - ((0.5 * x - wanted) ** 2).mean(-1)
    margins = beta / 2 * (gains[1] - gains[0])
    slopes = (2 * x * (theta * x - wanted)).mean(-1)
    found, gradient = jax.jit(jax.value_and_grad(loss))(theta)
    assert float(found) == pytest.approx(np.log1p(np.exp(-margins)).mean(), rel=1e-5)
    want = -(beta / 2 * (slopes[1] - slopes[0]) / (1 + np.exp(margins))).mean()
    assert float(gradient) == pytest.approx(want, rel=1e-4)
