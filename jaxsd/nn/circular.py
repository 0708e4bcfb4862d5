"""Convolutions that go around: what leaves a map on one side comes in on the other.

Pictures of such networks can be laid side by side without a seam.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from jaxsd.nn.layers import Conv
from jaxsd.types import Array

AXES = {"x": (2,), "y": (1,), "xy": (1, 2)}
"""Directions in which maps [B, h, w, c] go around."""


@dataclass(frozen=True)
class Circular:
    """A network whose convolutions go around, used in its place.

    Attributes:
      network: as it is, a Flax module.
      along: of `AXES`.
    """

    network: Any
    along: str

    def __getattr__(self, name: str) -> Any:
        """What the network has; networks that are parts of it go around too."""
        found = getattr(self.network, name)
        return Circular(found, self.along) if isinstance(found, nn.Module) else found

    def apply(self, *args: Any, **options: Any) -> Any:
        """As `flax.linen.Module.apply`."""
        with nn.intercept_methods(self._around):
            return self.network.apply(*args, **options)

    def _around(
        self,
        call: Callable[..., Any],
        args: tuple[Any, ...],
        options: dict[str, Any],
        context: nn.module.InterceptorContext,
    ) -> Any:
        module = context.module
        if not isinstance(module, Conv) or module.kernel_size == (1, 1):
            return call(*args, **options)
        return _around(call, args[0], AXES[self.along], module.strides[0])


def _around(call: Callable[[Array], Array], x: Array, axes: tuple[int, ...], stride: int) -> Array:
    """A convolution of a map with its other side at each side, and the middle of the result.

    So many pixels are added that the strides begin at the same ones as before.
    """
    longer = [(stride, stride) if axis in axes else (0, 0) for axis in range(4)]
    made = call(jnp.pad(x, longer, mode="wrap"))
    for axis in axes:
        more = x.shape[axis] + 2 * stride
        cut = round(stride * made.shape[axis] / more)
        made = jax.lax.slice_in_dim(made, cut, made.shape[axis] - cut, axis=axis)
    return made
