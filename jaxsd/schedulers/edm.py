"""Networks with continuous noise and the scales of Karras et al. 2022 ("Elucidating the design
space"), table 1: CosXL, Playground 2.5.

Any method's table serves them: it turns x0 into samples, and how a network gives x0 is apart.
"""

import numpy as np

from jaxsd.config import EDMConfig
from jaxsd.schedulers.tableau import Tableau
from jaxsd.types import Prediction


def trained_levels(edm: EDMConfig, count: int) -> np.ndarray:
    """alpha^2 of levels equally spaced in log sigma, the least noise first, [count]."""
    sigma = np.exp(np.linspace(np.log(edm.sigma_min), np.log(edm.sigma_max), count))
    return 1 / (1 + sigma**2)


def preconditioned(tableau: Tableau, edm: EDMConfig, prediction: Prediction) -> Tableau:
    """The table for such a network, with the timesteps it is told.

    With alpha^2 + sigma^2 = 1 and data divided by sigma_data, c_skip and c_out are those of v
    prediction. What diffusers calls "epsilon" is the same with the other sign, the paper's.
    """
    alpha, sigma = tableau.alpha[:-1], tableau.sigma[:-1]
    c_in = 1 / np.hypot(alpha * edm.sigma_data, sigma)
    sign = -1 if prediction == "v" else 1
    return tableau._replace(
        timestep=np.log(sigma / alpha) / 4,
        c_in=c_in,
        c_skip=alpha * (edm.sigma_data * c_in) ** 2,
        c_out=sign * sigma * c_in * edm.sigma_data,
    )
