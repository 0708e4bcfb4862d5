"""Samplers over any function."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxsd.sampling.loop import Hook, Network, Row, Step, advance, begin, identity
from jaxsd.schedulers import Tableau
from jaxsd.types import Array


def sample(
    tableau: Tableau,
    network: Callable[[Array, Array], Array],
    x: Array,
    keys: Array,
    on_x0: Hook = identity,
    on_sample: Hook = identity,
    *,
    remat: bool = False,
    last: int | None = None,
) -> Array:
    """Samples [B, ...] float32 of a network, from unit-variance noise of the same shape.

    Any shape will do: points [B, D], series [B, T, c], pictures [B, h, w, c]. Pure and
    differentiable. Inside `jit`, make the table an argument.

    Args:
      tableau: as `build` makes it, the same for all images.
      network: (x [B, ...] float32, timestep float32 []) -> [B, ...] float32.
      x: [B, ...] float32, noise of variance 1; the table scales it.
      keys: [B] typed keys of the rows' fresh noise, one per image.
      on_x0: see `advance`.
      on_sample: see `advance`.
      remat: whether a derivative calls the network of each row again, in place of keeping what was
        inside of it: memory for one call in all, and a third more time.
      last: rows at the end that derivatives reach; None for all. What was before them, and `x`, are
        then constants (truncated back-propagation, the K of Clark et al. 2023, "DRaFT").

    Raises:
      ValueError: `last` is not 1 to the number of rows.
    """
    rows = rows_like(tableau, len(x))
    constant = constant_rows(last, tableau.rows)
    options = {"on_x0": on_x0, "on_sample": on_sample, "remat": remat}
    state = begin(jnp.broadcast_to(tableau.start, (len(x), 2)), x)
    if constant:
        early = Step(jax.tree.map(lambda field: field[:constant], rows), {})
        state, _ = advance(early, told(network), state, keys, **options)
        state = jax.lax.stop_gradient(state)
    late = Step(jax.tree.map(lambda field: field[constant:], rows), {})
    state, _ = advance(late, told(network), state, keys, **options)
    return state.samples[:, 0]


def constant_rows(last: int | None, rows: int) -> int:
    """The rows in the beginning that derivatives do not reach.

    Raises:
      ValueError: `last` is not 1 to the number of rows.
    """
    if last is None:
        return 0
    if not 1 <= last <= rows:
        raise ValueError(f"last {last} is out of range; allowed are 1 to {rows}, the rows")
    return rows - last


def rows_like(tableau: Tableau, batch: int) -> Row:
    """The table as rows [S, B, ...], the same for all images; it may be traced."""
    level = jnp.stack([tableau.alpha, tableau.sigma], axis=-1)
    fields = tableau[: Tableau._fields.index("alpha")]
    row = Row(jnp.arange(tableau.rows), *fields, level[:-1], level[1:])
    return jax.tree.map(
        lambda field: jnp.broadcast_to(field[:, None], (len(field), batch, *field.shape[1:])), row
    )


def told(network: Callable[[Array, Array], Array]) -> Network:
    """A network of a sample and one timestep for all images, as the loop calls it."""
    return lambda x, step, memory: (network(x, step.row.timestep[0]), memory)
