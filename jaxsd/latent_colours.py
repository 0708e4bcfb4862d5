"""The colour that a scaled latent has by itself: a preview without a network.

Each table was fitted by least squares (`tools/fit_latent_colours.py`): four weights for red, green
and blue in [-1, 1], and what is added. Those of SD and XL are of the latents of TAESD and TAESDXL
of eleven pictures of 512 to 1,024 pixels, those of "emoji" of the sheet of the built-in model.
"""

import numpy as np

from jaxsd.config import ModelSpec, VAEConfig
from jaxsd.families import EMOJI, SD1, SDXL
from jaxsd.types import Array

COLOURS: dict[str, tuple[tuple[float, float, float], ...]] = {
    "SD 1 and 2": (
        (0.3469, 0.2916, 0.2850),
        (0.1860, 0.2568, 0.1853),
        (-0.2158, 0.1599, 0.2416),
        (-0.2363, -0.3200, -0.4588),
        (-0.0302, -0.0736, -0.1393),
    ),
    "XL": (
        (0.3566, 0.3938, 0.4052),
        (-0.2617, 0.0191, 0.0864),
        (0.0743, 0.0657, 0.0085),
        (-0.3045, -0.2239, -0.1887),
        (0.0691, 0.0198, -0.0416),
    ),
    "emoji": (
        (0.1843, 0.0018, 0.2368),
        (0.0158, 0.0876, 0.1756),
        (-0.2930, -0.4724, -0.4632),
        (-0.2556, -0.0261, 0.2702),
        (0.5931, 0.5026, 0.4046),
    ),
}
"""Whose latents -> [5, 3]."""


def latents_of(spec: ModelSpec) -> str | None:
    """Whose latents a model has, a name of `COLOURS`; None for those of an unknown autoencoder.

    Autoencoders are told by the factor that their latents are scaled with. Tiny ones have none.
    """
    if not isinstance(spec.vae, VAEConfig):
        return None
    if spec.family == EMOJI.family:
        return "emoji"
    own = (spec.vae.latent_channels, spec.vae.scaling_factor)
    known = {"SD 1 and 2": SD1.vae, "XL": SDXL.vae}
    factors = {(vae.latent_channels, vae.scaling_factor): name for name, vae in known.items()}
    return factors.get(own)


def colours_for(spec: ModelSpec) -> str:
    """The table for previews of a model's latents, a name of `COLOURS`.

    Raises:
      ValueError: the latents of another autoencoder.
    """
    name = latents_of(spec)
    if name is None:
        raise ValueError(
            "the colours of this autoencoder's latents are not known; give a tiny autoencoder for "
            "previews (--preview-taesd)"
        )
    return name


def coloured(latents: Array, name: str) -> np.ndarray:
    """Colours [..., 3] float32, about [-1, 1], of scaled latents [..., 4]; see `COLOURS`."""
    *weights, added = np.float32(COLOURS[name])
    return np.asarray(latents, np.float32) @ np.stack(weights) + added
