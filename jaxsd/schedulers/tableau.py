"""A sampler as a table of coefficients that checks itself."""

from typing import NamedTuple

import numpy as np

from jaxsd.types import Array, Prediction

SAMPLES = 2
HISTORY = 5
"""J and K of every table, so that one compiled program serves all samplers. PLMS needs the five."""


class Tableau(NamedTuple):
    """A fixed-step sampler as a general linear method: one row, one call of the network.

    A row reads `J` kept samples z and `K` kept predictions m, newest first:

        x0   = c_skip*z[0] + c_out*network(c_in*z[0], timestep)
        m    = [keep[0]*z[0] + keep[1]*x0, m[0], ..., m[K-2]]
        z[j] = sum_i samples[j, i]*z[i] + sum_k history[j, k]*m[k] + noise[j]*fresh

    with the same fresh unit noise for every j. z[0] is what the network sees and, at the end, the
    result; at the beginning all z are the first sample.

    All arrays are float32, on the host as `build` returns them. None is static: a program that
    takes a table as argument serves every table of the same number of rows.
    """

    timestep: Array  # [S] given to the network
    c_in: Array  # [S] scale of the network's input
    c_skip: Array  # [S] weight of z[0] in x0
    c_out: Array  # [S] weight of the network's output in x0
    keep: Array  # [S, 2] weights of z[0] and x0 in the prediction that is kept
    samples: Array  # [S, J, J] kept samples -> new kept samples
    history: Array  # [S, J, K] kept predictions, newest first -> new kept samples
    noise: Array  # [S, J] standard deviation of the fresh noise
    alpha: Array  # [S+1] level of z[0] before each row and at the end:
    sigma: Array  # [S+1]   z[0] = alpha*x0 + sigma*noise
    start: Array  # [2] weights of the picture to begin from and of unit noise in the first sample

    @property
    def rows(self) -> int:
        """S, the number of calls of the network."""
        return self.timestep.shape[0]


class Rows(NamedTuple):
    """The part of a table that defines a method: see `Tableau`."""

    samples: np.ndarray  # [S, J, J]
    history: np.ndarray  # [S, J, K]
    noise: np.ndarray  # [S, J]


def blank(rows: int) -> Rows:
    """Rows of zeros, float64, for a builder to fill."""
    return Rows(
        np.zeros((rows, SAMPLES, SAMPLES)),
        np.zeros((rows, SAMPLES, HISTORY)),
        np.zeros((rows, SAMPLES)),
    )


def preconditioning(
    prediction: Prediction, alpha: np.ndarray, sigma: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """c_in, c_skip, c_out, [S] each, that make a network a denoiser (Karras et al. 2022, eq. 7).

    The network was trained on inputs with alpha^2 + sigma^2 = 1, so the sample is scaled to that,
    and x0 = (x - sigma*epsilon)/alpha = alpha*x - sigma*v (Salimans & Ho 2022, appendix D).
    """
    c_in = 1 / np.hypot(alpha, sigma)
    a, s = alpha * c_in, sigma * c_in
    if prediction == "epsilon":
        return c_in, c_in / a, -s / a
    if prediction == "v":
        return c_in, c_in * a, -s
    return c_in, np.zeros_like(a), np.ones_like(a)


def tabulate(
    prediction: Prediction,
    rows: Rows,
    *,
    timestep: np.ndarray,
    alpha: np.ndarray,
    sigma: np.ndarray,
    start: tuple[float, float],
    keep: np.ndarray | None = None,
    tolerance: float = 1e-6,
) -> Tableau:
    """The checked table of a method, float64, from its rows and the levels they visit.

    Its history is x0 where `keep` [S, 2] is None; `tolerance` is as in `check_point_mass`.
    """
    if keep is None:
        keep = np.tile([0.0, 1.0], (len(timestep), 1))
    scales = preconditioning(prediction, alpha[:-1], sigma[:-1])
    tableau = Tableau(timestep, *scales, keep, *rows, alpha, sigma, np.array(start))
    check(tableau)
    check_point_mass(tableau, prediction, tolerance)
    return tableau


def keep_noise(alpha: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """`keep` of methods whose history is noise predictions (z - alpha*x0)/sigma, [S, 2]."""
    return np.stack([1 / sigma, -alpha / sigma], axis=-1)


def check_order(name: str, order: int, highest: int) -> None:
    """Raises ValueError unless `order` is 1..highest."""
    if order not in range(1, highest + 1):
        raise ValueError(f"{name} has orders 1 to {highest}, not {order}")


def check_eta(eta: float) -> None:
    """Raises ValueError unless `eta` is in [0, 1]."""
    if not 0 <= eta <= 1:
        raise ValueError(f"eta must be 0 to 1, not {eta}")


def check(tableau: Tableau) -> None:
    """Raises ValueError unless shapes fit, all is finite, and no row reads later predictions."""
    s, j, k = tableau.history.shape
    shapes = Tableau(*[(s,)] * 4, (s, 2), (s, j, j), (s, j, k), (s, j), (s + 1,), (s + 1,), (2,))
    for field, array, shape in zip(Tableau._fields, tableau, shapes, strict=True):
        if np.shape(array) != shape:
            raise ValueError(f"tableau.{field} has shape {np.shape(array)}, not {shape}")
        if not np.isfinite(array).all():
            raise ValueError(f"tableau.{field} has values that are not finite")
    for row in range(min(s, k)):
        if np.any(tableau.history[row, :, row + 1 :]):
            raise ValueError(f"row {row} of the tableau reads predictions that do not exist yet")


def check_point_mass(tableau: Tableau, prediction: Prediction, tolerance: float = 1e-6) -> None:
    """Raises ValueError unless the table is exact for data that are a single point.

    A perfect network knows that point, so any consistent method must end on
    alpha*x0 + sigma*noise with the alpha and sigma the table claims. A sample is represented by
    its weights of (x0, first noise, noise of row 0, 1, ...), which are unit vectors here.
    """
    weights = np.eye(tableau.rows + 2)
    x0, first, fresh = weights[0], weights[1], weights[2:]
    z = np.stack([tableau.alpha[0] * x0 + tableau.sigma[0] * first] * SAMPLES)
    m = np.zeros((HISTORY, len(weights)))
    for row in range(tableau.rows):
        output = _perfect_output(tableau, prediction, row, tableau.c_in[row] * z[0])
        denoised = tableau.c_skip[row] * z[0] + tableau.c_out[row] * output
        m = np.stack([tableau.keep[row] @ [z[0], denoised], *m[:-1]])
        z = tableau.samples[row] @ z + tableau.history[row] @ m
        z += np.outer(tableau.noise[row], fresh[row])
    got, want = (z[0][0], np.linalg.norm(z[0][1:])), (tableau.alpha[-1], tableau.sigma[-1])
    if not np.allclose(got, want, rtol=0, atol=tolerance):
        raise ValueError(f"the tableau turns a point into alpha, sigma = {got} instead of {want}")


def _perfect_output(
    tableau: Tableau, prediction: Prediction, row: int, x: np.ndarray
) -> np.ndarray:
    """A perfect network's output for its input `x` if the data are the point (1, 0, 0, ...)."""
    scale = np.hypot(tableau.alpha[row], tableau.sigma[row])
    alpha, sigma = tableau.alpha[row] / scale, tableau.sigma[row] / scale
    x0 = np.eye(len(x))[0]
    noise = (x - alpha * x0) / sigma
    return {"epsilon": noise, "v": alpha * noise - sigma * x0, "sample": x0}[prediction]


def padded(tableau: Tableau, rows: int) -> Tableau:
    """The table with idle rows at its end, so that one program serves several numbers of steps.

    An idle row calls the network, at the last row's timestep, and changes nothing.

    Raises:
      ValueError: if the table has more than `rows` rows already.
    """
    extra = rows - tableau.rows
    if extra < 0:
        raise ValueError(f"a tableau of {tableau.rows} rows cannot be padded to {rows}")
    ends = Tableau(*(np.asarray(field)[-1:] for field in tableau[:-1]), tableau.start)
    idle = ends._replace(
        samples=np.eye(SAMPLES, dtype=np.float32)[None],
        history=np.zeros_like(ends.history),
        noise=np.zeros_like(ends.noise),
    )
    return Tableau(
        *(np.concatenate([a, *[b] * extra]) for a, b in zip(tableau[:-1], idle[:-1], strict=True)),
        tableau.start,
    )
