"""Pictures to latents and back."""

import jax
import jax.numpy as jnp

from jaxsd.config import scaled, unscaled
from jaxsd.parallel import gather
from jaxsd.sampling.call import Networks
from jaxsd.sampling.loop import fresh_noise
from jaxsd.types import Array, Params

INITIAL_NOISE = 2**32 - 1
"""Folded into an image's key for its initial noise; rows of the table fold in 0, 1, 2, ..."""
SOURCE = 2**32 - 2
"""The same, for the draw from the posterior of the picture that the image begins from."""
MASKED = 2**32 - 3
"""The same, for the draw from the posterior of an inpainting model's masked picture."""

SMALL = 2**32 - 4
"""The same, for the noise in the small picture that a model enlarges."""
EMBEDDING = 2**32 - 5
"""The same, for the noise in the embedding of the picture that a model varies."""


def noise_of(keys: Array, purpose: int, shape: tuple[int, ...]) -> Array:
    """Unit noise [B, *shape] float32 for one of the purposes above; image i uses keys[i]."""
    like = jax.ShapeDtypeStruct((len(keys), *shape), jnp.float32)
    return fresh_noise(keys, jnp.full(len(keys), purpose, jnp.uint32), like)


def latents_of(
    networks: Networks,
    params: Params,
    images: Array,
    keys: Array,
    purpose: int = SOURCE,
    draws: dict[int, Array] | None = None,
) -> Array:
    """Scaled latents [B, h, w, c] float32 of images [B, H, W, 3] in [-1, 1].

    Args:
      networks: static.
      params: of all networks.
      images: see above.
      keys: [B] typed keys, for a draw from the posterior.
      purpose: `SOURCE` or `MASKED`, whose noises are independent.
      draws: noise [B, h, w, c] by purpose, in place of that of the keys.
    """
    mean, log_variance = _moments(networks, params, images)
    if (noise := (draws or {}).get(purpose)) is None:
        noise = noise_of(keys, purpose, mean.shape[1:])
    return scaled(networks.vae.config, posterior(mean, log_variance, noise))


def mean_of(networks: Networks, params: Params, images: Array) -> Array:
    """The scaled mean of the posterior of images [B, H, W, 3] in [-1, 1]: [B, h, w, c] float32."""
    return scaled(networks.vae.config, _moments(networks, params, images)[0])


def _moments(networks: Networks, params: Params, images: Array) -> tuple[Array, Array]:
    tree = gather(params["vae"], "vae", networks.mesh)
    return networks.vae.apply({"params": tree}, images, method="encode")


def posterior(mean: Array, log_variance: Array, noise: Array) -> Array:
    """A draw from the autoencoder's posterior (Kingma and Welling 2014, equation 10)."""
    return mean + jnp.exp(0.5 * log_variance) * noise


def decoded(networks: Networks, params: Params, latents: Array) -> Array:
    """Scaled latents [B, h, w, c] -> images [B, H, W, 3] float32, about [-1, 1]."""
    own = unscaled(networks.vae.config, latents)
    tree = gather(params["vae"], "vae", networks.mesh)
    return networks.vae.apply({"params": tree}, own, method="decode")
