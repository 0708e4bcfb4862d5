"""The sampling loop: one `lax.scan` over the rows of a table."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxsd.schedulers import Tableau
from jaxsd.types import Array

Network = Callable[[Array, Array], Array]
"""(x [B, h, w, c] float32, timestep float32 []) -> [B, h, w, c] float32."""

Memory = Any
"""What a network keeps from call to call, a tree of arrays of fixed shapes."""

RecallingNetwork = Callable[[Array, Array, Memory, Array], tuple[Array, Memory]]
"""(x, timestep, memory, whether to make it anew bool []) -> (as `Network`, memory)."""

Hook = Callable[[Array, Array], Array]
"""(x [B, h, w, c] float32, number of the row int32 []) -> [B, h, w, c] float32."""


class State(NamedTuple):
    """What the loop carries from row to row; `samples[0]` is the current sample."""

    samples: Array  # [J, B, h, w, c] float32
    history: Array  # [K, B, h, w, c] float32, newest first


def identity(x: Array, row: Array) -> Array:
    """`x`, unchanged."""
    return x


def begin(tableau: Tableau, x: Array) -> State:
    """The state before row 0, of unit-variance noise `x` [B, h, w, c] float32: z = start*x.

    For image-to-image (a table built with `strength`) pass
    x = (alpha[0]*x0 + sigma[0]*noise) / start.
    """
    kept, remembered = tableau.history.shape[1:]
    z = tableau.start * x
    return State(jnp.stack([z] * kept), jnp.zeros((remembered, *x.shape), x.dtype))


def advance(
    tableau: Tableau,
    network: Network,
    state: State,
    keys: Array,
    *,
    first_row: Array | int = 0,
    on_x0: Hook = identity,
    on_sample: Hook = identity,
) -> tuple[State, Array]:
    """Runs all rows of a table, or of a part of one made by `rows`.

    Args:
      tableau: as `build` makes it; it may be an argument of the jitted program.
      network: the model, with its guidance and conditions inside.
      state: of `begin`, or of the rows before.
      keys: [B] typed keys, one an image; row i draws its noise from `fold_in(key, i)`.
      first_row: number of the table's first row, where the table is a part. May be traced.
      on_x0: replaces each estimate of x0 before the method uses it: clipping, thresholding.
      on_sample: replaces each new z[0], whose level is alpha[row+1], sigma[row+1]: blending.

    Returns:
      The state after the last row, and for each row and image whether the sample was finite,
      [S, B] bool.
    """

    def forgetful(x: Array, timestep: Array, memory: None, anew: None) -> tuple[Array, None]:
        return network(x, timestep), None

    hooks = {"on_x0": on_x0, "on_sample": on_sample}
    state, _, finite = advance_recalling(
        tableau, forgetful, state, None, None, keys, first_row=first_row, **hooks
    )
    return state, finite


def advance_recalling(
    tableau: Tableau,
    network: RecallingNetwork,
    state: State,
    memory: Memory,
    anew: Array | None,
    keys: Array,
    *,
    first_row: Array | int = 0,
    on_x0: Hook = identity,
    on_sample: Hook = identity,
) -> tuple[State, Memory, Array]:
    """The same for a network that keeps something from row to row.

    Args:
      tableau: this and the others as in `advance`.
      network: also told what it kept, and whether to make that anew.
      memory: what it is told at the first row.
      anew: [S] bool, the rows that make it anew; None where the network does not ask.

    Returns:
      As `advance`, with the memory after the last row as second.
    """
    # On TPUs and GPUs a float32 product is rounded to bfloat16 or TF32 unless told otherwise.
    mix = partial(jnp.tensordot, axes=1, precision="highest")

    def step(
        carried: tuple[State, Memory], scanned: tuple[tuple[Array, ...], Array, Array | None]
    ) -> tuple[tuple[State, Memory], Array]:
        (timestep, c_in, c_skip, c_out, keep, samples, history, noise), row, remade = scanned
        (z, m), memory = carried
        output, memory = network(c_in * z[0], timestep, memory, remade)
        x0 = on_x0(c_skip * z[0] + c_out * output, row)
        m = jnp.concatenate([(keep[0] * z[0] + keep[1] * x0)[None], m[:-1]])
        z = (
            mix(samples, z)
            + mix(history, m)
            + mix(noise[:, None], fresh_noise(keys, row, x0)[None])
        )
        z = z.at[0].set(on_sample(z[0], row))
        return (State(z, m), memory), jnp.isfinite(z[0]).all((1, 2, 3))

    row_fields = tableau[: Tableau._fields.index("alpha")]
    numbers = first_row + jnp.arange(tableau.rows)
    (state, memory), finite = jax.lax.scan(step, (state, memory), (row_fields, numbers, anew))
    return state, memory, finite


def fresh_noise(keys: Array, row: Array | int, x: Array | jax.ShapeDtypeStruct) -> Array:
    """Unit noise of the shape of `x` [B, ...]; image i's depends on keys[i] and the row alone."""
    return jax.vmap(lambda key: jax.random.normal(jax.random.fold_in(key, row), x.shape[1:]))(keys)


def sample(
    tableau: Tableau,
    network: Network,
    x: Array,
    keys: Array,
    on_x0: Hook = identity,
    on_sample: Hook = identity,
) -> Array:
    """Samples [B, h, w, c] float32 of a network, from unit-variance noise.

    Pure and differentiable. Inside `jit`, make the table an argument.

    Args:
      tableau: as `build` makes it.
      network: the model, with its guidance and conditions inside.
      x: [B, h, w, c] float32, noise of variance 1; the table scales it (see `begin`).
      keys: [B] typed keys of the rows' fresh noise, one an image.
      on_x0: see `advance`.
      on_sample: see `advance`.
    """
    state = begin(tableau, x)
    state, _ = advance(tableau, network, state, keys, on_x0=on_x0, on_sample=on_sample)
    return state.samples[0]


def rows(tableau: Tableau, first: int, end: int) -> Tableau:
    """Rows first..end-1 as a table, to run the loop in parts: previews, progress, cancelling.

    `advance(rows(tableau, 5, 10), network, state, keys, first_row=5)`
    """
    levels = slice(first, end + 1)
    return Tableau(*(field[first:end] for field in tableau[:-1]), tableau.start)._replace(
        alpha=tableau.alpha[levels], sigma=tableau.sigma[levels]
    )


def first_non_finite(finite: Array) -> int | None:
    """Row after which some image was no longer finite, of `advance`'s [S, B] flags; on the host."""
    bad = ~np.asarray(finite).all(axis=1)
    return int(bad.argmax()) if bad.any() else None
