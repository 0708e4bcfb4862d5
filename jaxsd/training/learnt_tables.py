"""Learns the table of a sampler: levels, timesteps and weights that end where many steps would.

The error at the end is differentiated through the whole loop, as in Tong et al. 2024, "Learning to
discretize denoising diffusion ODEs" (LD3), which learns levels and timesteps; the weights of
earlier estimates are learnt as well.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxsd.schedulers import HISTORY, SAMPLES, Learnt, NoiseSchedule, Tableau, as_learnt
from jaxsd.types import Array, Prediction

Draw = Callable[[Tableau, Any], Array]
"""(table, what a batch has) -> samples [B, ...]: the loop, which can be differentiated."""


class Change(NamedTuple):
    """What is learnt; all are 0 in the beginning."""

    steps: Array  # [n-1] logarithms of factors of the steps in half log SNR
    told: Array  # [n] half log SNR that the network is told, beyond that of the sample
    weights: Array  # [n, HISTORY-1] of estimates that are not the newest


def unchanged(steps: int) -> Change:
    """No change, of a sampler of so many steps."""
    shapes = (steps - 1,), (steps,), (steps, HISTORY - 1)
    return Change(*(jnp.zeros(shape, jnp.float32) for shape in shapes))


def changed_table(
    begun: Learnt, change: Change, schedule: NoiseSchedule, prediction: Prediction, order: int
) -> Tableau:
    """The table of a changed sampler, in JAX's arrays.

    Args:
      begun: what is changed.
      change: differentiable.
      schedule: the model's.
      prediction: what the model was trained to output.
      order: estimates that a row reads, 1 to `HISTORY`.
    """
    n = begun.steps
    half_log_snr = -np.log(begun.sigmas[:n])
    steps = np.diff(half_log_snr).astype(np.float32) * jnp.exp(change.steps)
    at = half_log_snr[0] + jnp.concatenate([jnp.zeros(1), jnp.cumsum(steps)])
    alpha, sigma = jnp.sqrt(jax.nn.sigmoid(2 * at)), jnp.sqrt(jax.nn.sigmoid(-2 * at))
    end = 1 / np.hypot(1, begun.sigmas[n])
    alpha, sigma = jnp.append(alpha, end), jnp.append(sigma, begun.sigmas[n] * end)
    trained = -np.log(schedule.noise_to_signal)[::-1]  # rises, as `interp` needs
    times = np.arange(schedule.train_steps, dtype=np.float32)[::-1]
    later = _begun_weights(begun) + change.weights * _readable(n, order)
    weights = jnp.concatenate([1 - later.sum(1, keepdims=True), later], axis=1)
    ratio = sigma[1:] / sigma[:-1]
    history = (alpha[1:] - alpha[:-1] * ratio)[:, None] * weights
    a, s = alpha[:-1], sigma[:-1]
    c_skip, c_out = {"epsilon": (1 / a, -s / a), "v": (a, -s), "sample": (0 * a, a / a)}[prediction]
    return Tableau(
        timestep=jnp.interp(at + change.told, trained, times),
        c_in=jnp.ones(n),
        c_skip=c_skip,
        c_out=c_out,
        keep=jnp.tile(jnp.float32([0, 1]), (n, 1)),
        samples=jnp.zeros((n, SAMPLES, SAMPLES)).at[:, 0, 0].set(ratio),
        history=jnp.zeros((n, SAMPLES, HISTORY)).at[:, 0].set(history),
        noise=jnp.zeros((n, SAMPLES)),
        alpha=alpha,
        sigma=sigma,
        start=jnp.float32([0, 1]),
    )


def _begun_weights(begun: Learnt) -> np.ndarray:
    """Weights of the estimates that are not the newest, [n, HISTORY-1]."""
    weights = np.zeros((begun.steps, HISTORY), np.float32)
    for i, own in enumerate(begun.weights):
        weights[i, : len(own)] = own
    return weights[:, 1:]


def _readable(steps: int, order: int) -> np.ndarray:
    """Which of these estimates there are, and which the order allows, [n, HISTORY-1]."""
    row, back = np.arange(steps)[:, None], np.arange(1, HISTORY)[None]
    return ((back <= row) & (back < order)).astype(np.float32)


def learn(
    begun: Learnt,
    draw: Draw,
    batches: Iterable[tuple[Any, Array]],
    schedule: NoiseSchedule,
    prediction: Prediction,
    *,
    updates: int,
    order: int = 3,
    rate: float = 0.05,
    progress: Callable[[int, float], None] = lambda done, loss: None,
) -> Learnt:
    """A sampler of as many steps that ends nearer to where it should.

    Args:
      begun: the sampler to begin with (`as_learnt`).
      draw: the loop over the network, compiled as a whole or row by row.
      batches: of each update what `draw` takes, and the samples [B, ...] that it should end at.
      schedule: the model's.
      prediction: what the model was trained to output.
      updates: the number of batches; the rate falls to 0 as a cosine.
      order: estimates that a row reads, 1 to `HISTORY`.
      rate: of Adam.
      progress: called after each update with their number and the mean squared error.

    Raises:
      FloatingPointError: an error is not finite.
    """
    rule = optax.adam(optax.cosine_decay_schedule(rate, updates))

    @jax.jit
    def tabled(change: Change) -> Tableau:
        return changed_table(begun, change, schedule, prediction, order)

    def error(change: Change, given: Any, wanted: Array) -> Array:
        return jnp.square(draw(tabled(change), given) - wanted).mean()

    @jax.jit
    def updated(change: Change, state: Any, slope: Change) -> tuple[Change, Any]:
        step, state = rule.update(slope, state)
        return optax.apply_updates(change, step), state

    change = unchanged(begun.steps)
    state = rule.init(change)
    for done, (given, wanted) in enumerate(batches, 1):
        loss, slope = jax.value_and_grad(error)(change, given, wanted)
        change, state = updated(change, state, slope)
        if not np.isfinite(loss):
            raise FloatingPointError(f"the error of update {done} is {loss}; lower the rate")
        progress(done, float(loss))
    return as_learnt(tabled(change))
