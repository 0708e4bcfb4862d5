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


def allowed(rows: np.ndarray) -> np.ndarray:
    """The rows: a return may be any number."""
    return rows


def seen(rows: np.ndarray) -> np.ndarray:
    """The logarithm of the price since the last known day, in percent, [..., T, 1]."""
    path = rows.astype(np.float64).cumsum(-2)
    return path - path[..., KNOWN - 1 : KNOWN, :]


def facts(paths: np.ndarray) -> dict[str, float]:
    """Stylised facts of returns [N, T] (Cont 2001), over all paths at once.

    Kurtosis (3 of Gaussians); correlation of |r| with itself 1, 5 and 20 days later; and of r with
    |r| of the next day, which is negative where falls make the market nervous (leverage).
    """
    size = np.abs(paths)
    later = {f"|r| after {lag}": _correlation(size[:, :-lag], size[:, lag:]) for lag in (1, 5, 20)}
    centred = paths - paths.mean()
    return {
        "deviation": float(paths.std()),
        "kurtosis": float((centred**4).mean() / paths.var() ** 2),
        "r after 1": _correlation(paths[:, :-1], paths[:, 1:]),
        **later,
        "leverage": _correlation(paths[:, :-1], size[:, 1:]),
    }


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


FIELD = Field(
    simulate,
    KNOWN,
    TIMES,
    1,
    allowed,
    seen,
    continued,
    unit="%",
    title="Log price since the last known day, %",
    changes=True,
)
