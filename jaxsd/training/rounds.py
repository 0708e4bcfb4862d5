"""Steps that draw first, and then learn from what was drawn."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxsd.training.step import Loss, Metrics, TrainState, make_step
from jaxsd.types import Array, Params

Play = Callable[[Params, Params, Any, Array], tuple[Any, dict[str, Array]]]
"""(trained, frozen, batches [A, ...], key) -> what was drawn, leaves [A, ...], and metrics."""


def make_rounds(
    play: Play,
    updates: int,
    loss: Loss,
    optimizer: optax.GradientTransformation,
    ema_decay: float,
    places: Any = None,
) -> Callable[[TrainState, Params, Any, Array], tuple[TrainState, Metrics]]:
    """A step of `play` and several updates on all that it drew.

    The state's number counts rounds, so a run is stopped and goes on between them.

    Args:
      play: draws with the weights before the updates.
      updates: of a round.
      loss: of what was drawn.
      optimizer: see `make_step`.
      ema_decay: see `make_step`.
      places: see `make_step`.
    """
    update = make_step(loss, optimizer, ema_decay, places)

    def step(
        state: TrainState, frozen: Params, batches: Any, key: Array
    ) -> tuple[TrainState, Metrics]:
        number = jnp.copy(state.step)  # an update donates its state
        drawn, metrics = play(state.params, frozen, batches, jax.random.fold_in(key, number))
        for _ in range(updates):
            state, found = update(state, frozen, drawn, key)
        return state._replace(step=number + 1), found | metrics

    return step
