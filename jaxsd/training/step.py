"""One update of what is trained and of its average, for any loss."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxsd.types import Array, Params

Metrics = dict[str, Array]

Loss = Callable[[Params, Params, Any, Array], tuple[Array, Metrics]]
"""(trained, frozen, batch, key) -> the number to lower, and numbers to look at."""


class TrainState(NamedTuple):
    """Everything that a run carries from one step to the next."""

    step: Array  # [] int32, updates done
    params: Params  # what is trained, float32
    average: Params  # exponential moving average of params, float32
    optimizer: optax.OptState


def initial_state(params: Params, optimizer: optax.GradientTransformation) -> TrainState:
    """A run that has not begun."""
    average = jax.tree.map(jnp.copy, params)
    return TrainState(jnp.zeros((), jnp.int32), params, average, optimizer.init(params))


def make_step(
    loss: Loss, optimizer: optax.GradientTransformation, ema_decay: float, places: Any = None
) -> Callable[[TrainState, Params, Any, Array], tuple[TrainState, Metrics]]:
    """The compiled update: (state, frozen, batches, key of the run) -> (state, metrics).

    `batches` are stacked, [A, ...]: gradients and metrics are their means, one batch in memory at
    a time. The key is folded with the step and then with the batch's number. The average's decay
    starts low, (1 + n) / (10 + n), so that the first weights do not linger. The state given is
    donated, and the new one lies where `places` says (shardings, like a `TrainState`).
    """

    def step(
        state: TrainState, frozen: Params, batches: Any, key: Array
    ) -> tuple[TrainState, Metrics]:
        gradient, metrics = _mean_gradient(
            loss, state.params, frozen, batches, jax.random.fold_in(key, state.step)
        )
        updates, inner = optimizer.update(gradient, state.optimizer, state.params)
        params = optax.apply_updates(state.params, updates)
        decay = jnp.minimum(ema_decay, (1.0 + state.step) / (10.0 + state.step))
        average = optax.incremental_update(params, state.average, 1.0 - decay)
        metrics = metrics | {"gradient_norm": optax.tree.norm(gradient)}
        return TrainState(state.step + 1, params, average, inner), metrics

    return jax.jit(step, donate_argnums=0, out_shardings=(places, None))


def _mean_gradient(
    loss: Loss, params: Params, frozen: Params, batches: Any, key: Array
) -> tuple[Params, Metrics]:
    gradient_of = jax.grad(loss, has_aux=True)

    def add(total: Any, numbered: tuple[Array, Any]) -> tuple[Any, None]:
        number, batch = numbered
        one = gradient_of(params, frozen, batch, jax.random.fold_in(key, number))
        return jax.tree.map(jnp.add, total, one), None

    count = len(jax.tree.leaves(batches)[0])
    first = jax.tree.map(lambda x: x[0], batches)
    if count == 1:  # XLA's CPU backend runs convolutions ten times as slow inside of a loop
        return gradient_of(params, frozen, first, jax.random.fold_in(key, 0))
    shapes = jax.eval_shape(gradient_of, params, frozen, first, key)
    zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
    total, _ = jax.lax.scan(add, zeros, (jnp.arange(count), batches))
    return jax.tree.map(lambda x: x / count, total)
