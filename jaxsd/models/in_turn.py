"""An autoencoder that takes a few frames of a clip at a time, since its maps are large."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from jaxsd.config import FRAMES_TOGETHER, TinyVAEConfig, VAEConfig
from jaxsd.models.tiles import TiledVAE
from jaxsd.models.tiny_vae import TinyVAE
from jaxsd.models.vae import VAE
from jaxsd.types import Array, Params


@dataclass(frozen=True)
class InTurn:
    """An autoencoder in whose place it is used.

    Attributes:
      vae: it.
    """

    vae: VAE | TinyVAE | TiledVAE

    @property
    def config(self) -> VAEConfig | TinyVAEConfig:
        """Of the autoencoder."""
        return self.vae.config

    @property
    def dtype(self) -> jnp.dtype:
        """Of the autoencoder."""
        return self.vae.dtype

    def apply(self, variables: Params, x: Array, *, method: str) -> Array | tuple[Array, Array]:
        """As `flax.linen.Module.apply`, for the methods "encode" and "decode"."""

        def run(one: Array) -> Array | tuple[Array, Array]:
            made = self.vae.apply(variables, one[None], method=method)
            return jax.tree.map(lambda a: a[0], made)

        if len(x) <= FRAMES_TOGETHER:
            return self.vae.apply(variables, x, method=method)
        return jax.lax.map(run, x, batch_size=FRAMES_TOGETHER)
