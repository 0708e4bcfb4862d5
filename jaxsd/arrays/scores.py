"""How good ensembles of forecasts are; the true distribution has the lowest scores on average.

Ensembles have their members on the first axis.
"""

import numpy as np


def crps(ensemble: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Continuous ranked probability score of each number, in its units; 0 is best.

    E|X - y| - E|X - X'| / 2 (Gneiting and Raftery 2007, equation 21), the second mean over pairs of
    different members, so that its expectation does not depend on how many there are (Ferro 2014).

    Args:
      ensemble: [M, ...], M of 2 or more.
      truth: [...].
    """
    members = len(ensemble)
    ordered = np.sort(ensemble.astype(np.float64), axis=0)
    # The sum of |X - X'| over pairs counts the k-th least number 2k + 1 - M times.
    weight = 2 * np.arange(members) + 1 - members
    pairs = np.tensordot(weight, ordered, 1) / (members * (members - 1))
    return np.abs(ordered - truth[None]).mean(0) - pairs


def energy_score(ensemble: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The same of vectors, with distances in place of differences (equation 22): [N].

    Args:
      ensemble: [M, N, D], M of 2 or more.
      truth: [N, D].
    """
    members = len(ensemble)
    ensemble = ensemble.astype(np.float64)
    apart = np.linalg.norm(ensemble - truth[None], axis=-1).mean(0)
    pairs = sum(np.linalg.norm(ensemble - one[None], axis=-1).sum(0) for one in ensemble)
    return apart - pairs / (2 * members * (members - 1))


def coverage(ensemble: np.ndarray, truth: np.ndarray, share: float) -> float:
    """The share of true numbers in the central interval that should hold `share` of them.

    Its ends are quantiles at p (M + 1) of the ordered members (Weibull's), between which a number
    of the same distribution lies that often. Numbers that are often equal, as counts, lie on
    the ends and are counted.

    Args:
      ensemble: [M, ...].
      truth: [...].
      share: above 0, below 1.
    """
    ends = (0.5 - share / 2, 0.5 + share / 2)
    low, high = np.quantile(ensemble, ends, axis=0, method="weibull")
    return float(((low <= truth) & (truth <= high)).mean())
