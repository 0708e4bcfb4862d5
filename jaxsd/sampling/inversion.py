"""From samples to their noise with a network of one's own, and how likely samples are."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxsd.sampling.likelihood import NAME, log_normal, with_trace
from jaxsd.sampling.loop import Memory, Network, State, Step, advance
from jaxsd.sampling.own import rows_like, told
from jaxsd.schedulers import HISTORY, SAMPLES, Tableau
from jaxsd.types import Array

OwnNetwork = Callable[[Array, Array], Array]
"""(x [B, ...] float32, timestep float32 []) -> [B, ...] float32."""


def invert(back: Tableau, network: OwnNetwork, x: Array) -> Array:
    """The two samples [B, 2, ...] that a table would have to begin with to end with `x`.

    Args:
      back: `jaxsd.schedulers.inverted` of that table.
      network: as for `jaxsd.sampling.sample`.
      x: [B, ...] float32.
    """
    return _run(back, told(network), jnp.stack([x] * SAMPLES, axis=1)).samples


def sample_from(tableau: Tableau, network: OwnNetwork, samples: Array) -> Array:
    """Samples [B, ...] float32, from the two [B, 2, ...] that `invert` gave.

    Args:
      tableau: as `build` makes it, of a method that adds no noise.
      network: as for `jaxsd.sampling.sample`.
      samples: see above.
    """
    return _run(tableau, told(network), samples).samples[:, 0]


def log_likelihood(
    back: Tableau,
    weights: tuple[Array, float],
    network: OwnNetwork,
    x: Array,
    keys: Array,
) -> Array:
    """The log-density of each of `x` [B, ...] in nats, [B] float32.

    It has the noise of one probe for each: take the mean over several keys.

    Args:
      back: `jaxsd.schedulers.inverted` of a table of `bdia`.
      weights: `jaxsd.schedulers.trace_weights` of it.
      network: as for `jaxsd.sampling.sample`.
      x: samples at the last level of the table.
      keys: [B] typed keys of the probes.
    """
    of_network, of_one = weights
    columns = {NAME: jnp.broadcast_to(of_network[:, None], (len(of_network), len(x)))}
    memory = {NAME: jnp.zeros(len(x), jnp.float32)}
    traced = with_trace(told(network), keys)
    state = _run(back, traced, jnp.stack([x] * SAMPLES, axis=1), columns, memory)
    return log_normal(state.samples[:, 0]) + state.memory[NAME] + of_one * x[0].size


def _run(
    tableau: Tableau,
    network: Network,
    samples: Array,
    columns: dict[str, Array] | None = None,
    memory: Memory | None = None,
) -> State:
    batch, _, *shape = samples.shape
    nothing = jnp.zeros((batch, HISTORY, *shape), samples.dtype)
    state = State(samples, nothing, nothing[:, 0], memory or {})
    fresh = {"fresh": jnp.zeros((tableau.rows, batch, *[1] * len(shape)), samples.dtype)}
    steps = Step(rows_like(tableau, batch), fresh | (columns or {}))
    keys = jax.vmap(jax.random.key)(jnp.zeros(batch, jnp.uint32))  # no row draws noise
    return advance(steps, network, state, keys)[0]
