"""Levels of ComfyUI's and webui's schedulers, from those that the model was trained with.

Noise over signal, descending, [n] float64, without the 0 at the end. `trained` are the levels of
timesteps 0..T-1, ascending.
"""

from collections.abc import Sequence

import numpy as np

from jaxsd.schedulers.spacing import exponential_sigmas


def normal_sigmas(trained: np.ndarray, steps: int) -> np.ndarray:
    """Of timesteps equally spaced from T-1 to 0, with k-diffusion's interpolation of log sigma."""
    return _at(trained, np.linspace(len(trained) - 1, 0, steps))


def sgm_uniform_sigmas(trained: np.ndarray, steps: int) -> np.ndarray:
    """The same with one timestep more, of which the last is left out (Stability's code for XL)."""
    return _at(trained, np.linspace(len(trained) - 1, 0, steps + 1)[:-1])


def _at(trained: np.ndarray, timesteps: np.ndarray) -> np.ndarray:
    return np.exp(np.interp(timesteps, np.arange(len(trained)), np.log(trained)))


def simple_sigmas(trained: np.ndarray, steps: int) -> np.ndarray:
    """Every (T/n)th of the trained levels, from the noisiest one down."""
    return trained[::-1][np.arange(steps) * len(trained) // steps]


def ddim_uniform_sigmas(trained: np.ndarray, steps: int) -> np.ndarray:
    """Every T//n-th of the trained levels, from timestep 1 up.

    Where n does not divide T, these are more than n; the drawing then has as many steps as levels.
    """
    return trained[1 :: max(len(trained) // steps, 1)][::-1]


def kl_optimal_sigmas(trained: np.ndarray, steps: int) -> np.ndarray:
    """Equally spaced in the arc tangent of sigma (Sabour et al. 2024, "Align your steps", 3.1)."""
    return np.tan(np.linspace(np.arctan(trained[-1]), np.arctan(trained[0]), steps))


def polyexponential_sigmas(trained: np.ndarray, steps: int) -> np.ndarray:
    """k-diffusion's with rho 1, as in webui and ComfyUI if nothing is said: exponential."""
    return exponential_sigmas(trained[-1], trained[0], steps)


ALIGNED = (14.6146412293, 6.4745760956, 3.8636745985, 2.6946151520, 1.8841921177, 1.3943805092,
           0.9642583904, 0.6523686016, 0.3977456272, 0.1515232662, 0.0291671582)  # fmt: skip
"""Levels that Sabour et al. 2024 ("Align your steps", appendix) found for 10 steps of SD 1.5."""
ALIGNED_XL = (14.6146412293, 6.3184485287, 3.7681790315, 2.1811480769, 1.3405244945, 0.8620721141,
              0.5550693289, 0.3798540708, 0.2332364134, 0.1114188177, 0.0291671582)  # fmt: skip
"""And for those of XL base."""


def aligned_sigmas(trained: np.ndarray, steps: int) -> np.ndarray:
    """`ALIGNED`, for other numbers of steps between them in log sigma; the last is left for 0."""
    return _between(ALIGNED, steps)


def aligned_xl_sigmas(trained: np.ndarray, steps: int) -> np.ndarray:
    """The same of `ALIGNED_XL`."""
    return _between(ALIGNED_XL, steps)


def _between(levels: Sequence[float], steps: int) -> np.ndarray:
    places = np.linspace(0, len(levels) - 1, steps + 1)[:-1]
    return np.exp(np.interp(places, np.arange(len(levels)), np.log(levels)))


SEARCHED = (
    (100,),
    (100, 29),
    (100, 49, 18),
    (100, 61, 33, 11),
    (100, 66, 42, 21, 6),
    (100, 83, 57, 34, 15, 3),
    (100, 83, 62, 42, 23, 8, 1),
    (100, 83, 62, 45, 29, 15, 6, 1),
    (100, 83, 66, 50, 34, 21, 11, 4, 1),
    (100, 83, 66, 51, 38, 27, 17, 9, 4, 1),
    (100, 83, 67, 54, 42, 30, 21, 13, 7, 3, 1),
    (100, 83, 68, 56, 45, 34, 25, 17, 11, 6, 3, 1),
    (100, 86, 71, 61, 49, 38, 29, 21, 15, 10, 6, 3, 1),
    (100, 86, 71, 62, 50, 40, 31, 23, 17, 12, 8, 5, 3, 1),
    (100, 88, 78, 68, 58, 48, 38, 30, 23, 17, 12, 8, 5, 3, 1),
    (100, 88, 78, 68, 58, 48, 38, 30, 23, 17, 13, 9, 6, 4, 2, 1),
    (100, 88, 78, 68, 58, 48, 38, 30, 23, 17, 13, 10, 7, 5, 3, 2, 1),
    (100, 88, 78, 68, 59, 50, 41, 33, 26, 20, 15, 11, 8, 6, 4, 3, 2, 1),
    (100, 88, 78, 68, 59, 50, 42, 34, 27, 21, 16, 12, 9, 7, 5, 4, 3, 2, 1),
    (100, 88, 78, 68, 59, 50, 42, 34, 27, 21, 17, 13, 10, 8, 6, 5, 4, 3, 2, 1),
)
"""Timesteps of 1 to 20 steps that Chen et al. 2024 ("On the trajectory regularity of ODE-based
diffusion sampling", GITS) found for SD 1.5 with their coefficient 1.2, in percent of the way from 0
to T-1; ComfyUI has them as sigmas."""


def gits_sigmas(trained: np.ndarray, steps: int) -> np.ndarray:
    """`SEARCHED`; for more than 20 steps between the levels of 20 in log sigma."""
    most = len(SEARCHED)
    percent = np.array([*SEARCHED[min(steps, most) - 1], 0])
    levels = _at(trained, percent / 100 * (len(trained) - 1))
    return levels[:-1] if steps <= most else _between(levels, steps)


TRAINED_SIGMAS = {
    "normal": normal_sigmas,
    "simple": simple_sigmas,
    "sgm_uniform": sgm_uniform_sigmas,
    "ddim_uniform": ddim_uniform_sigmas,
    "kl_optimal": kl_optimal_sigmas,
    "polyexponential": polyexponential_sigmas,
    "align_your_steps": aligned_sigmas,
    "align_your_steps_xl": aligned_xl_sigmas,
    "gits": gits_sigmas,
}
