"""Floating-point operations of a program, counted from the shapes in it."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr


def count_flops(function: Callable[..., Any], *arrays: Any) -> int:
    """Operations of all products and convolutions of a call, attention's included.

    A multiplication and an addition are two. Norms and other elementwise operations do not count.
    Where the code differs by platform, the default form counts.

    Args:
      function: traceable.
      *arrays: its arguments, or only their shapes.
    """
    return _count(jax.make_jaxpr(function)(*arrays).jaxpr)


def _count(jaxpr: Jaxpr) -> int:
    return sum(_of_equation(equation) for equation in jaxpr.eqns)


def _of_equation(equation: Any) -> int:
    name, params = equation.primitive.name, equation.params
    if name == "dot_general":
        (contracted, _), _ = params["dimension_numbers"]
        shape = equation.invars[0].aval.shape
        return 2 * equation.outvars[0].aval.size * math.prod(shape[axis] for axis in contracted)
    if name == "conv_general_dilated":
        kernel, layout = equation.invars[1].aval, params["dimension_numbers"].rhs_spec
        return 2 * equation.outvars[0].aval.size * kernel.size // kernel.shape[layout[0]]
    if name == "cond":  # `platform_dependent` puts its default last
        return _count(params["branches"][-1].jaxpr)
    times = params["length"] if name == "scan" else 1
    return times * sum(_count(jaxpr) for jaxpr in _inside(params))


def _inside(params: dict[str, Any]) -> Iterator[Jaxpr]:
    for value in params.values():
        if isinstance(value, ClosedJaxpr):
            yield value.jaxpr
        elif isinstance(value, Jaxpr):
            yield value
