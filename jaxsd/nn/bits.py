"""Parts of bfloat16 arrays, moved by their bits.

XLA's compiler for CPUs moves bfloat16 as float32. So it pads into arrays twice as large, and a loop
that writes a part of its result converts the whole result to float32 and back at every turn. It
moves integers as they are.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from jaxsd.types import Array


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def moved(move: Callable[..., Any], x: Array, *where: Array) -> Any:
    """`move(x, *where)`, computed on the bits of bfloat16.

    Args:
      move: a function that only moves numbers, or adds zeros.
      x: array of any dtype.
      *where: integers.

    Returns:
      What `move` gives, in the dtype of `x`.
    """
    return jax.tree.map(partial(_of_bits, dtype=x.dtype), move(_bits(x), *where))


@moved.defjvp
def _moved_tangent(
    move: Callable[..., Any], primals: tuple[Array, ...], tangents: tuple[Array, ...]
) -> tuple[Any, Any]:
    return moved(move, *primals), move(tangents[0], *primals[1:])


def mapped(f: Callable[[Any], Array], xs: Any) -> Array:
    """`jax.lax.map`, which on a CPU reads and writes parts of bfloat16 in place.

    Args:
      f: a function of one slice of `xs`; it may close over other arrays.
      xs: arrays that have the same first axis.
    """
    first = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), xs)
    pure, held = jax.closure_convert(f, first)
    return _mapped(pure, xs, held)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _mapped(f: Callable[..., Array], xs: Any, held: list[Array]) -> Array:
    dtypes = jax.tree.map(lambda leaf: leaf.dtype, xs)
    out = jax.eval_shape(f, jax.tree.map(lambda leaf: leaf[0], xs), *held).dtype

    def turn(bits: Any) -> Array:
        return _bits(f(jax.tree.map(_of_bits, bits, dtypes), *held))

    return _of_bits(jax.lax.map(turn, jax.tree.map(_bits, xs)), out)


@_mapped.defjvp
def _mapped_tangent(
    f: Callable[..., Array], primals: tuple[Any, list[Array]], tangents: tuple[Any, list[Array]]
) -> tuple[Array, Array]:
    def plain(xs: Any, held: list[Array]) -> Array:
        return jax.lax.map(lambda x: f(x, *held), xs)

    return _mapped(f, *primals), jax.jvp(plain, primals, tangents)[1]


def _bits(x: Array) -> Array:
    return jax.lax.bitcast_convert_type(x, jnp.uint16) if x.dtype == jnp.bfloat16 else x


def _of_bits(x: Array, dtype: jnp.dtype) -> Array:
    return jax.lax.bitcast_convert_type(x, dtype) if x.dtype != dtype else x
