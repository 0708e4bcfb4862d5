"""Price paths: returns by GJR-GARCH(1, 1) with Student's t (Glosten, Jagannathan and Runkle 1993).

    r = s z,    s'^2 = OMEGA + (ALPHA + GAMMA [r < 0]) r^2 + BETA s^2

z has variance 1 and six degrees of freedom. A row has 64 daily returns in percent, [64, 1].
"""

import numpy as np
from fields.field import Field, Hidden

TIMES, KNOWN = 64, 32
OMEGA, ALPHA, GAMMA, BETA, FREEDOM = 0.04, 0.03, 0.14, 0.86, 6
"""The variance of a return is OMEGA / (1 - ALPHA - GAMMA / 2 - BETA) = 1."""
BURN_IN, PARTICLES = 300, 4_000


def _run(
    variance: np.ndarray, steps: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Returns [N, steps] and the variances [N] after them."""
    kept = []
    for _ in range(steps):
        z = rng.standard_t(FREEDOM, len(variance)) * np.sqrt((FREEDOM - 2) / FREEDOM)
        r = np.sqrt(variance) * z
        variance = after(variance, r)
        kept.append(r)
    return np.stack(kept, axis=1), variance


def after(variance: np.ndarray, r: np.ndarray) -> np.ndarray:
    """The variance of the next return."""
    return OMEGA + (ALPHA + GAMMA * (r < 0)) * r**2 + BETA * variance


def simulate(count: int, rng: np.random.Generator) -> tuple[np.ndarray, Hidden]:
    """Paths from anywhere in a long history."""
    _, variance = _run(np.ones(count), BURN_IN, rng)
    rows, _ = _run(variance, TIMES, rng)
    return rows[..., None].astype(np.float32), {}


def continued(
    rows: np.ndarray, hidden: Hidden, members: int, rng: np.random.Generator
) -> np.ndarray:
    """The exact forecast, as far as PARTICLES allow: of the variance only the first is hidden."""
    _, first = _run(np.ones(PARTICLES), BURN_IN, rng)
    futures = []
    for past in rows[:, :KNOWN, 0].astype(np.float64):
        variance, logs = first, np.zeros(PARTICLES)
        for r in past:
            logs -= np.log(variance) / 2
            logs -= (FREEDOM + 1) / 2 * np.log1p(r**2 / ((FREEDOM - 2) * variance))
            variance = after(variance, r)
        shares = np.exp(logs - logs.max())
        chosen = rng.choice(PARTICLES, size=members, p=shares / shares.sum())
        futures.append(_run(variance[chosen], TIMES - KNOWN, rng)[0])
    past = np.broadcast_to(rows[None, :, :KNOWN], (members, *rows[:, :KNOWN].shape))
    return np.concatenate([past, np.stack(futures, axis=1)[..., None]], axis=2)


def seen(rows: np.ndarray) -> np.ndarray:
    """The logarithm of the price since the last known day, in percent, [..., T, 1]."""
    path = rows.astype(np.float64).cumsum(-2)
    return path - path[..., KNOWN - 1 : KNOWN, :]


FIELD = Field(simulate, KNOWN, TIMES, 1, seen, continued, "%", "Log price since the last known day, %")
