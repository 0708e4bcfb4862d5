"""Drawings in a form for derivatives by anything that made them."""

from functools import partial

import jax
import jax.numpy as jnp

from jaxsd.sampling.call import Conditions, Networks
from jaxsd.sampling.loop import State, Step
from jaxsd.sampling.own import constant_rows
from jaxsd.sampling.program import Drawing, Given, decode, encode, rows_run
from jaxsd.types import Array, Params


@partial(jax.jit, static_argnames=("networks", "remat"))
def differentiable_rows(
    networks: Networks,
    params: Params,
    steps: Step,
    conditions: Conditions,
    state: State,
    keys: Array,
    remat: bool = True,
) -> tuple[State, Array]:
    """`denoise` for derivatives by everything but `networks` and `keys`.

    With `remat` they call the U-Net of each row again, in place of keeping what was inside of it.
    """
    return rows_run(networks, params, steps, conditions, state, keys, remat)


def differentiable(
    networks: Networks,
    params: Params,
    given: Given,
    runs: tuple[Step, ...],
    *,
    remat: bool = True,
    last: int | None = None,
) -> Drawing:
    """What `draw` makes, for derivatives by all arrays in its arguments.

    A call for each row, so drawings of any number of rows share compiled programs; do not put it
    inside of `jit`. Between the rows memory keeps the state alone.

    Args:
      networks: of one device.
      params: of all networks.
      given: the request: noise, texts, pictures, hints.
      runs: the rows of the tables with their columns, leaves [S, B, ...]: timesteps, coefficients,
        weights of guidance.
      remat: see `differentiable_rows`.
      last: rows at the end that derivatives reach; None for all. What was before them is then
        constant.

    Raises:
      ValueError: `last` is not 1 to the number of rows, or there is a mesh.
    """
    if networks.mesh is not None:
        raise ValueError("derivatives of a drawing are those of one device; load without a mesh")
    constant = constant_rows(last, sum(len(steps.row.number) for steps in runs))
    conditions, state = encode(networks, params, given)
    finite, row = [], 0
    for steps in runs:
        state = state._replace(memory={})
        for first in range(len(steps.row.number)):
            part = jax.tree.map(lambda field, i=first: field[i : i + 1], steps)
            told = (params, part, conditions, state)
            if row < constant:
                told = jax.lax.stop_gradient(told)
            state, ok = differentiable_rows(networks, *told, given.keys, remat=remat)
            finite.append(ok)
            row += 1
    latents = state.samples[:, 0]
    return Drawing(decode(networks, params, latents), latents, jnp.concatenate(finite))


def drawn_within(
    networks: Networks,
    params: Params,
    given: Given,
    steps: Step,
    *,
    remat: bool = True,
    last: int | None = None,
) -> Drawing:
    """What `differentiable` makes of a single run, as one loop, for the inside of `jax.jit`.

    Args:
      networks: of one device.
      params: of all networks.
      given: the request.
      steps: the rows, leaves [S, B, ...].
      remat: see `differentiable_rows`.
      last: see `differentiable`.

    Raises:
      ValueError: `last` is not 1 to the number of rows.
    """
    constant = constant_rows(last, len(steps.row.number))
    early, late = (
        jax.tree.map(lambda field, part=part: field[part], steps)
        for part in (slice(constant), slice(constant, None))
    )
    conditions, state = encode(networks, params, given)
    finite = []
    if constant:
        still = jax.lax.stop_gradient((params, early, conditions, state))
        state, ok = rows_run(networks, *still, given.keys)
        state = jax.lax.stop_gradient(state)._replace(memory={})
        finite.append(ok)
    state, ok = rows_run(networks, params, late, conditions, state, given.keys, remat)
    latents = state.samples[:, 0]
    return Drawing(decode(networks, params, latents), latents, jnp.concatenate([*finite, ok]))
