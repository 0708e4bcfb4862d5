"""A drawing by two models: the rows of each, as `denoising_end` and `denoising_start` of diffusers.

The first model draws the timesteps from the handover on, the second those below it.
"""

import numpy as np

from jaxsd.schedulers import Tableau
from jaxsd.settings.options import Settings


def until(tableau: Tableau, settings: Settings, handover: int) -> Tableau:
    """The rows of the first model.

    Raises:
      ValueError: a sampler with several calls a step, or one of the models has nothing to do.
    """
    if tableau.rows > settings.steps:
        raise ValueError(
            f"refiner needs a sampler with one network call a step, which {settings.sampler} is not"
        )
    rows = int((tableau.timestep >= handover).sum())
    if not 0 < rows < tableau.rows:
        raise ValueError(
            f"refiner_start {settings.refiner_start:g} leaves no step of {tableau.rows} for one of "
            "the two models; give another one, or more steps"
        )
    cut = Tableau(*(field[:rows] for field in tableau))
    ends = {"alpha": tableau.alpha[: rows + 1], "sigma": tableau.sigma[: rows + 1]}
    return cut._replace(start=tableau.start, **ends)


def share_from(tableau: Tableau, handover: int) -> float:
    """The second model's share of the steps, as a strength that gives just those."""
    return (int((tableau.timestep < handover).sum()) + 0.5) / tableau.rows


def begun_with_noise(tableau: Tableau) -> Tableau:
    """A table that begins from latents with their noise, as they are."""
    return tableau._replace(start=np.float32([1, 0]))
