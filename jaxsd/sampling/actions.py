"""Rows of an ancestral sampler as actions: what a row adds is chance of a known density.

A row makes z' = mean(z) + sigma*noise. For a sampler whose rows see the newest sample alone, z' is
therefore normal, given z (Black et al. 2024, "Training diffusion models with reinforcement
learning", equation 6).
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxsd.sampling.loop import Network, Step, advance, begin, fresh_noise, per_image
from jaxsd.schedulers import Tableau
from jaxsd.types import Array


class Played(NamedTuple):
    """What was drawn, row by row."""

    samples: Array  # [S+1, B, ...] before each row, and at the end
    log_densities: Array  # [S, B] of each row's sample, in nats; 0 where a row adds no noise


def acts(tableau: Tableau) -> bool:
    """Whether each row sees the newest sample alone, and some row adds noise.

    ddim with `eta` above 0, ddpm, euler_a, lcm and tcd do so.
    """
    earlier = np.abs(tableau.samples[:, 0, 1:]).max() + np.abs(tableau.history[:, 0, 1:]).max()
    return bool(earlier == 0 and (tableau.noise[:, 0] > 0).any())


def play(steps: Step, network: Network, z: Array, keys: Array, **hooks: Any) -> Played:
    """Draws as `advance` does, and keeps all samples.

    Args:
      steps: leaves [S, B, ...], of tables for which `acts` holds.
      network: as for `advance`, without memory.
      z: [B, ...] float32, the first sample.
      keys: [B] typed keys of the rows' noise.
      **hooks: as for `advance`.
    """

    def body(z: Array, step: Step) -> tuple[Array, tuple[Array, Array]]:
        mean, sigma = _mean(step, network, z, hooks), step.row.noise[:, 0]
        after = mean + per_image(sigma, fresh_noise(keys, step.row.number, z))
        return after, (after, log_density(after, mean, sigma))

    _, (after, found) = jax.lax.scan(body, z, steps)
    return Played(jnp.concatenate([z[None], after]), found)


def log_densities(steps: Step, network: Network, samples: Array, **hooks: Any) -> Array:
    """The log-densities [S, B] that a network gives to samples [S+1, B, ...] of `play`.

    A derivative calls the network of each row again, and memory keeps one call.
    """

    def body(carry: None, row: tuple[Step, Array, Array]) -> tuple[None, Array]:
        step, z, after = row
        return carry, log_density(after, _mean(step, network, z, hooks), step.row.noise[:, 0])

    _, found = jax.lax.scan(jax.checkpoint(body), None, (steps, samples[:-1], samples[1:]))
    return found


def log_density(x: Array, mean: Array, sigma: Array) -> Array:
    """Of x [B, ...] under a normal of deviation sigma [B], in nats, [B]; 0 where sigma is 0."""
    count, positive = x[0].size, sigma > 0
    sigma = jnp.where(positive, sigma, 1)
    squares = jnp.square(per_image(1 / sigma, x - mean)).sum(range(1, x.ndim))
    found = -squares / 2 - count * (jnp.log(sigma) + np.log(2 * np.pi) / 2)
    return jnp.where(positive, found, 0)


def _mean(step: Step, network: Network, z: Array, hooks: dict[str, Any]) -> Array:
    """The mean of the sample after a row."""
    batch = len(z)
    still = step._replace(columns=step.columns | {"fresh": jnp.zeros_like(z)})
    one = jax.tree.map(lambda field: field[None], still)
    state = begin(jnp.broadcast_to(jnp.float32([0, 1]), (batch, 2)), z)
    keys = jnp.zeros((batch, 0))  # of no noise
    state, _ = advance(one, network, state, keys, **hooks)
    return state.samples[:, 0]
