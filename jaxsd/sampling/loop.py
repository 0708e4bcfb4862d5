"""The sampling loop: one `lax.scan` over the rows of a table for each image."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxsd.schedulers import HISTORY, SAMPLES, Tableau, padded
from jaxsd.types import Array

Memory = dict[str, Any]
"""What features keep from row to row, by name: trees of arrays [B, ...] of fixed shapes."""


class Row(NamedTuple):
    """A row of each image's table: leaves [S, B, ...] outside of the scan, [B, ...] inside.

    The fields from `timestep` to `noise` are those of `Tableau`.
    """

    number: Array  # int32, of the row in the image's own table
    timestep: Array
    c_in: Array
    c_skip: Array
    c_out: Array
    keep: Array  # [..., 2]
    samples: Array  # [..., J, J]
    history: Array  # [..., J, K]
    noise: Array  # [..., J]
    level: Array  # [..., 2] alpha and sigma of the sample before the row
    next_level: Array  # [..., 2] the same after the row


class Step(NamedTuple):
    """The position of a network call: the row, and the columns that features read."""

    row: Row
    columns: dict[str, Array]  # [S, B, ...] outside of the scan, [B, ...] inside
    times: dict[str, Array] | None = None  # of `jaxsd.sampling.times`, [S, B, K, width] by layer


class State(NamedTuple):
    """What the loop carries from row to row; `samples[:, 0]` is the current sample."""

    samples: Array  # [B, J, h, w, c] float32
    history: Array  # [B, K, h, w, c] float32, newest first
    x0: Array  # [B, h, w, c] float32, the newest estimate, for previews
    memory: Memory


Network = Callable[[Array, Step, Memory], tuple[Array, Memory]]
"""(x [B, h, w, c] float32, step, memory) -> (output like x, memory)."""

Hook = Callable[[Array, Step], Array]
"""(x [B, h, w, c] float32, step) -> [B, h, w, c] float32."""


def identity(x: Array, step: Step) -> Array:
    """`x`, unchanged."""
    return x


def rows_of(tableaus: Sequence[Tableau]) -> Row:
    """The tables of a batch as rows [S, B, ...]; shorter ones get idle rows. NumPy, on the host."""
    count = max(tableau.rows for tableau in tableaus)

    def rows(tableau: Tableau) -> Row:
        level = np.stack([tableau.alpha, tableau.sigma], axis=-1)
        fields = tableau[: Tableau._fields.index("alpha")]
        return Row(np.arange(count, dtype=np.int32), *fields, level[:-1], level[1:])

    images = [rows(padded(tableau, count)) for tableau in tableaus]
    return Row(*(np.stack(fields, axis=1) for fields in zip(*images, strict=True)))


def per_image(a: Array, x: Array) -> Array:
    """Scales each image of `x` [B, ...] by its number `a` [B]."""
    return a.reshape(len(a), *[1] * (x.ndim - 1)) * x


def mixed(weights: Array, a: Array) -> Array:
    """Sums of each image's arrays [B, I, ...] by weights [B, J, I]: [B, J, ...].

    Not as a product of matrices: of float32, TPUs and GPUs round its operands, and a GPU takes a
    kernel for each product where all sums fit into one.
    """
    rest = [1] * (a.ndim - 2)
    parts = jnp.moveaxis(weights.reshape(*weights.shape, *rest), 2, 0)
    return sum(part * a[:, i, None] for i, part in enumerate(parts))


def denoised(x: Array, output: Array, row: Row) -> Array:
    """x0 [B, h, w, c] by the network's output for its input `x`, as `Tableau` says."""
    return per_image(row.c_skip / row.c_in, x) + per_image(row.c_out, output)


def begin(start: Array, noise: Array, source: Array | None = None) -> State:
    """The state before row 0.

    Args:
      start: [B, 2] weights of the source and the noise, `Tableau.start` of each image.
      noise: [B, h, w, c] float32 of unit variance.
      source: [B, h, w, c] float32, scaled latents of the pictures to begin from; None for noise
        alone.
    """
    z = per_image(start[:, 1], noise)
    if source is not None:
        z = per_image(start[:, 0], source) + z
    batch, *shape = z.shape
    samples = jnp.stack([z] * SAMPLES, axis=1)
    return State(samples, jnp.zeros((batch, HISTORY, *shape), z.dtype), jnp.zeros_like(z), {})


def advance(
    steps: Step,
    network: Network,
    state: State,
    keys: Array,
    *,
    on_x0: Hook = identity,
    on_sample: Hook = identity,
    remat: bool = False,
) -> tuple[State, Array]:
    """Runs all or some rows of a batch of tables.

    Args:
      steps: leaves [S, B, ...]; each image may be at another row of another table.
      network: the model, with its guidance and conditions inside.
      state: from `begin` or earlier rows; its memory has the structure that the network returns.
      keys: [B] typed keys; row number i of an image draws its noise from `fold_in(key, i)`, if no
        column `fresh` [B, h, w, c] has it.
      on_x0: replaces each estimate of x0 before the method uses it: clipping, thresholding.
      on_sample: replaces each new z[0], whose level is `step.row.next_level`: blending.
      remat: whether a derivative computes each row again, in place of keeping what is in it.

    Returns:
      The state after the last row, and for each row and image whether the sample was finite,
      [S, B] bool.
    """
    # A GPU makes one array in one kernel, and takes several for the fields of the state.
    count = state.samples.shape[1]
    carried = jnp.concatenate([state.samples, state.history, state.x0[:, None]], axis=1)
    given = "fresh" in steps.columns
    own_keys = None if given else jax.vmap(partial(_row_keys, keys))(steps.row.number)

    def body(
        carry: tuple[Array, Memory], now: tuple[Step, Array | None]
    ) -> tuple[tuple[Array, Memory], Array]:
        (before, memory), (step, own) = carry, now
        row, z, m = step.row, before[:, :count], before[:, count:-1]
        output, memory = network(per_image(row.c_in, z[:, 0]), step, memory)
        x0 = per_image(row.c_skip, z[:, 0]) + per_image(row.c_out, output)
        x0 = on_x0(x0, step)
        kept = per_image(row.keep[:, 0], z[:, 0]) + per_image(row.keep[:, 1], x0)
        m = jnp.concatenate([kept[:, None], m[:, :-1]], axis=1)
        fresh = step.columns["fresh"] if given else _noise(own, x0)
        z = mixed(row.samples, z) + mixed(row.history, m)
        z += mixed(row.noise[..., None], fresh[:, None])
        newest = on_sample(z[:, 0], step)
        after = jnp.concatenate([newest[:, None], z[:, 1:], m, x0[:, None]], axis=1)
        return (after, memory), _finite(before)

    body = jax.checkpoint(body) if remat else body
    (last, memory), before = jax.lax.scan(body, (carried, state.memory), (steps, own_keys))
    state = State(last[:, :count], last[:, count:-1], last[:, -1], memory)
    return state, jnp.concatenate([before[1:], _finite(last)[None]])


def fresh_noise(keys: Array, rows: Array, x: Array | jax.ShapeDtypeStruct) -> Array:
    """Unit noise like `x` [B, ...]; it depends only on each image's key and row number [B]."""
    return _noise(_row_keys(keys, rows), x)


def _row_keys(keys: Array, rows: Array) -> Array:
    return jax.vmap(jax.random.fold_in)(keys, rows)


def _noise(keys: Array, x: Array | jax.ShapeDtypeStruct) -> Array:
    return jax.vmap(lambda key: jax.random.normal(key, x.shape[1:]))(keys)


def _finite(carried: Array) -> Array:
    """Whether the newest sample of each image is finite, [B]."""
    return jnp.isfinite(carried[:, 0]).all(range(1, carried.ndim - 1))


def first_non_finite(finite: Array) -> int | None:
    """First row after which an image was not finite, from `advance`'s [S, B] flags. Host only."""
    bad = ~np.asarray(finite).all(axis=1)
    return int(bad.argmax()) if bad.any() else None
