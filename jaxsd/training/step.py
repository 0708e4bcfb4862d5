"""One update of what is trained and of its average, for any loss."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial, reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxsd.types import Array, Params


class Mean(NamedTuple):
    """A mean over some of the pictures of all batches of a step; NaN where there are none."""

    total: Array  # []
    count: Array  # []


Metrics = dict[str, Array | Mean]

Loss = Callable[[Params, Params, Any, Array], tuple[Array, Metrics]]
"""(trained, frozen, batch, key) -> the loss, and metrics."""


class TrainState(NamedTuple):
    """Everything that a run carries from one step to the next."""

    step: Array  # [] int32, updates done
    params: Params  # what is trained, float32
    average: Params  # exponential moving average of params, float32
    optimizer: optax.OptState


def initial_state(params: Params, optimizer: optax.GradientTransformation) -> TrainState:
    """The state before the first step."""
    average = jax.tree.map(jnp.copy, params)
    return TrainState(jnp.zeros((), jnp.int32), params, average, optimizer.init(params))


Known = Callable[[Params, Params], Params]
"""(frozen, averaged weights) -> what the loss gets as `frozen`."""


def without_average(frozen: Params, average: Params) -> Params:
    """Frozen weights alone."""
    del average
    return frozen


class StepPrograms(NamedTuple):
    """The compiled functions of a step."""

    gradient: Any  # (params, frozen, batches, key of the run, step, number) -> gradient, metrics
    add: Any  # (sums of gradients and metrics, those of one more batch) -> sums; donates the first
    update: Any  # (state, sums, how many batches) -> state, metrics; donates the state


def step_programs(
    loss: Loss, optimizer: optax.GradientTransformation, ema_decay: float, places: Any = None
) -> StepPrograms:
    """The functions that `make_step` calls; see there for arguments."""

    def gradient_of(
        params: Params, frozen: Params, batches: Any, key: Array, step: Array, number: int
    ) -> tuple[Params, Metrics]:
        key = jax.random.fold_in(jax.random.fold_in(key, step), number)
        batch = jax.tree.map(lambda x: x[number], batches)
        with split_over(places):
            return jax.grad(loss, has_aux=True)(params, frozen, batch, key)

    def update(state: TrainState, total: tuple[Params, Metrics], count: int) -> Any:
        gradient, metrics = jax.tree.map(lambda x: x / count, total)
        updates, inner = optimizer.update(gradient, state.optimizer, state.params)
        params = optax.apply_updates(state.params, updates)
        decay = jnp.minimum(ema_decay, (1.0 + state.step) / (10.0 + state.step))
        average = optax.incremental_update(params, state.average, 1.0 - decay)
        metrics = _resolved(metrics) | {"gradient_norm": optax.tree.norm(gradient)}
        return TrainState(state.step + 1, params, average, inner), metrics

    # Separate programs: XLA's CPU backend runs convolutions ten times slower inside a loop, and an
    # unrolled loop keeps the activations of all batches.
    own = None if places is None else places.params
    return StepPrograms(
        jax.jit(gradient_of, out_shardings=(own, None)),
        jax.jit(partial(jax.tree.map, jnp.add), donate_argnums=0),
        jax.jit(update, donate_argnums=0, out_shardings=(places, None)),
    )


def make_step(
    loss: Loss,
    optimizer: optax.GradientTransformation,
    ema_decay: float,
    places: Any = None,
    known: Known = without_average,
) -> Callable[[TrainState, Params, Any, Array], tuple[TrainState, Metrics]]:
    """The update: (state, frozen, batches, key of the run) -> (state, metrics).

    `batches` are stacked, [A, ...]: gradients and metrics are means over them, with the activations
    of one batch in memory at a time. The key is folded with the step and then with the batch's
    number. The average's decay starts low, (1 + n) / (10 + n), so that the first weights do not
    count for long. The given state is donated; `places` has shardings of the new one, like a
    `TrainState`. `known` says what the loss sees of the average.
    """
    programs = step_programs(loss, optimizer, ema_decay, places)

    def step(
        state: TrainState, frozen: Params, batches: Any, key: Array
    ) -> tuple[TrainState, Metrics]:
        count = len(jax.tree.leaves(batches)[0])
        frozen = known(frozen, state.average)
        parts = (
            programs.gradient(state.params, frozen, batches, key, state.step, number)
            for number in range(count)
        )
        return programs.update(state, reduce(programs.add, parts), count)

    return step


def split_over(places: TrainState | None) -> AbstractContextManager[None]:
    """Within it, what is traced knows over which mesh XLA splits it, by the shardings of a state.

    Kernels that XLA cannot split need it (`jaxsd.nn.shared_kernel`).
    """
    if places is None:
        return nullcontext()
    return jax.sharding.use_abstract_mesh(places.step.mesh.abstract_mesh)


def _resolved(metrics: Metrics) -> dict[str, Array]:
    return {
        name: value.total / value.count if isinstance(value, Mean) else value
        for name, value in metrics.items()
    }
