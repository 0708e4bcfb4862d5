"""One update of parameters and their average, for any loss."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxsd.training.config import TrainConfig
from jaxsd.types import Array, Params

Loss = Callable[[Params, Any, Array], tuple[Array, dict[str, Array]]]
"""(parameters, batch, key) -> the number to lower, and numbers to look at."""


class TrainState(NamedTuple):
    """Everything that a run carries from one step to the next."""

    step: Array  # [] int32, updates done
    params: Params
    average: Params  # exponential moving average of params, float32
    optimizer: optax.OptState


def learning_rate(config: TrainConfig) -> optax.Schedule:
    """Rises linearly, stays, falls linearly to zero (Hu et al. 2024, "MiniCPM", section 4.3)."""
    start = config.steps - config.decay_steps
    return optax.join_schedules(
        [
            optax.linear_schedule(0.0, config.learning_rate, config.warmup_steps),
            optax.constant_schedule(config.learning_rate),
            optax.linear_schedule(config.learning_rate, 0.0, max(config.decay_steps, 1)),
        ],
        [config.warmup_steps, start],
    )


_NEWTON_SCHULZ = ((3.4445, -4.7750, 2.0315),) * 5
"""A row for each iteration (Jordan et al. 2024): given so, they are one compiled loop."""


def muon(config: TrainConfig) -> optax.GradientTransformation:
    """Muon (Jordan et al. 2024) for kernels, Adam for vectors and embeddings; clipped to norm 1.

    Convolution kernels are matrices of everything that is summed over against output channels. The
    update's root mean square is 0.2, Adam's own (Liu et al. 2025, section 2.2), so that one rate
    serves both.
    """
    optimizer = optax.contrib.muon(
        learning_rate(config),
        ns_coeffs=_NEWTON_SCHULZ,
        consistent_rms=0.2,
        adam_b2=0.99,
        muon_weight_dimension_numbers=_dimensions,
    )
    return optax.chain(optax.clip_by_global_norm(1.0), optimizer)


def _dimensions(params: Params) -> Any:
    def of_leaf(path: tuple[Any, ...], leaf: Array) -> Any:
        if path[-1].key != "kernel":
            return None
        axes = tuple(range(leaf.ndim - 1))
        return optax.contrib.MuonDimensionNumbers(axes, (leaf.ndim - 1,))

    return jax.tree_util.tree_map_with_path(of_leaf, params)


def initial_state(params: Params, optimizer: optax.GradientTransformation) -> TrainState:
    """A run that has not begun."""
    average = jax.tree.map(jnp.copy, params)
    return TrainState(jnp.zeros((), jnp.int32), params, average, optimizer.init(params))


def make_step(
    loss: Loss, optimizer: optax.GradientTransformation, ema_decay: float
) -> Callable[[TrainState, Any, Array], tuple[TrainState, dict[str, Array]]]:
    """The compiled update: (state, batch, key of the run) -> (state, metrics).

    The key is folded with the step. The average's decay starts low, (1 + n) / (10 + n), so that
    the first weights do not linger. The state given is donated.
    """

    def step(state: TrainState, batch: Any, key: Array) -> tuple[TrainState, dict[str, Array]]:
        key = jax.random.fold_in(key, state.step)
        gradient, metrics = jax.grad(loss, has_aux=True)(state.params, batch, key)
        updates, inner = optimizer.update(gradient, state.optimizer, state.params)
        params = optax.apply_updates(state.params, updates)
        decay = jnp.minimum(ema_decay, (1.0 + state.step) / (10.0 + state.step))
        average = optax.incremental_update(params, state.average, 1.0 - decay)
        metrics = metrics | {"gradient_norm": optax.tree.norm(gradient)}
        return TrainState(state.step + 1, params, average, inner), metrics

    return jax.jit(step, donate_argnums=0)
