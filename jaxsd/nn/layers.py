"""Layers of Flax that read their parameters without tracing the initializers again."""

from typing import Any

from flax import linen as nn
from flax.errors import ScopeParamShapeError

from jaxsd.types import Array


class ShapeChecked:
    """A parameter that is there is checked by its shape alone.

    `nn.Module.param` traces the initializer of every parameter, each time that a network is traced,
    to learn which shape it would have. That is half of the time it takes to trace a U-Net.
    """

    def param(self, name: str, init: Any, shape: tuple[int, ...], *rest: Any, **more: Any) -> Array:
        """As `nn.Module.param`. `shape` is that of the parameter.

        Raises:
          flax.errors.ScopeParamShapeError: the parameter has another shape.
        """
        if not self.has_variable("params", name):
            return super().param(name, init, shape, *rest, **more)
        value = self.get_variable("params", name)
        if value.shape != tuple(shape):
            raise ScopeParamShapeError(name, self.scope.path_text, value.shape, tuple(shape))
        return value


class Dense(ShapeChecked, nn.Dense):
    """`nn.Dense`."""


class Conv(ShapeChecked, nn.Conv):
    """`nn.Conv`."""


class LayerNorm(ShapeChecked, nn.LayerNorm):
    """`nn.LayerNorm`."""


class Embed(ShapeChecked, nn.Embed):
    """`nn.Embed`."""
