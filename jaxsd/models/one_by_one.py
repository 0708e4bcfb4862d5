"""A U-Net that runs for one branch of one image after the other, to hold the maps of one alone."""

from dataclasses import dataclass
from typing import Any

import jax

from jaxsd.models.unet import UNet
from jaxsd.types import Params


@dataclass(frozen=True)
class OneByOne:
    """A U-Net in whose place it is used. Kernels in narrow dtypes are widened each time.

    Attributes:
      unet: it; nothing may look into it by `jaxsd.models.openings`, which sees whole batches.
    """

    unet: UNet

    def __getattr__(self, name: str) -> Any:
        """What the U-Net has."""
        return getattr(self.unet, name)

    def apply(self, variables: Params, *inputs: Any, **options: Any) -> Any:
        """As `flax.linen.Module.apply`; all inputs are [N, ...] or None."""

        def run(one: Any) -> Any:
            own = jax.tree.map(lambda a: a[None], one)
            return jax.tree.map(lambda a: a[0], self.unet.apply(variables, *own, **options))

        return jax.lax.map(run, inputs)
