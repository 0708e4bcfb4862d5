"""Plain forecasts of a field, and the scores of any: ensembles [M, N, *shape] of rows."""

import numpy as np

from fields.field import Field
from jaxsd.arrays.scores import coverage, crps, energy_score

RIDGE = 1e-3
"""Added to the variances of what is known, which are about 1."""


def persistence(
    field: Field, train: np.ndarray, rows: np.ndarray, members: int, rng: np.random.Generator
) -> np.ndarray:
    """The last known value, and what others changed from there; where rows are changes, these."""
    past, others = by_time(field, rows), by_time(field, train)
    chosen = others[rng.integers(len(others), size=(members, len(rows)))]
    now = field.known
    future = chosen[:, :, now:]
    if not field.changes:
        future = past[None, :, now - 1 : now] + future - chosen[:, :, now - 1 : now]
    return continued_by(field, rows, future)


def linear(
    field: Field, train: np.ndarray, rows: np.ndarray, members: int, rng: np.random.Generator
) -> np.ndarray:
    """The best linear forecast with Gaussian errors: a vector autoregression over all known times.

    Every future number is regressed on all known ones, and the errors have their covariance.
    """
    others, past = by_time(field, train), by_time(field, rows)
    mean, deviation = others.mean(0), others.std(0) + 1e-6
    x, y = _parted((others - mean) / deviation, field.known)
    weights = np.linalg.solve(x.T @ x / len(x) + RIDGE * np.eye(x.shape[1]), x.T @ y / len(x))
    factor = np.linalg.cholesky(np.cov((y - x @ weights).T) + RIDGE * np.eye(y.shape[1]))
    own, _ = _parted((past - mean) / deviation, field.known)
    error = rng.standard_normal((members, len(rows), len(factor))) @ factor.T
    future = (own @ weights + error).reshape(members, len(rows), -1, past.shape[-1])
    return continued_by(field, rows, future * deviation[field.known :] + mean[field.known :])


def by_time(field: Field, rows: np.ndarray) -> np.ndarray:
    """Rows [N, *shape] as [N, T, numbers of a time] float64."""
    moved = np.moveaxis(rows.astype(np.float64), field.time_axis, 1)
    return moved.reshape(len(rows), field.times, -1)


def continued_by(field: Field, rows: np.ndarray, future: np.ndarray) -> np.ndarray:
    """Rows with the futures [M, N, times, numbers of a time], [M, N, *shape]."""
    past = np.broadcast_to(
        by_time(field, rows)[None, :, : field.known],
        (len(future), len(rows), field.known, future.shape[-1]),
    )
    whole = np.concatenate([past, future], axis=2)
    rest = np.delete(rows.shape[1:], field.time_axis - 1)
    whole = whole.reshape(*whole.shape[:3], *rest)
    return np.moveaxis(whole, 2, field.time_axis + 1)


def scores(field: Field, ensemble: np.ndarray, rows: np.ndarray) -> dict[str, float]:
    """Scores of an ensemble: CRPS in the field's unit, its standard error, coverage, energy.

    The energy score is of all future numbers of a row at once, as they are in the row.
    """
    ensemble, now = field.allowed(ensemble), field.known
    forecast, truth = field.seen(ensemble)[:, :, now:], field.seen(rows)[:, now:]
    each = crps(forecast, truth).mean((1, 2))
    vectors = [by_time(field, one)[:, now:].reshape(len(rows), -1) for one in (*ensemble, rows)]
    return {
        "crps": float(each.mean()),
        "crps_error": float(each.std(ddof=1) / np.sqrt(len(each))),
        "covers_50": coverage(forecast, truth, 0.5),
        "covers_90": coverage(forecast, truth, 0.9),
        "energy": float(energy_score(np.stack(vectors[:-1]), vectors[-1]).mean()),
    }


def _parted(rows: np.ndarray, known: int) -> tuple[np.ndarray, np.ndarray]:
    """What is known of [N, T, K], with a one, and what is not, flat."""
    ones = np.ones((len(rows), 1))
    past = np.concatenate([rows[:, :known].reshape(len(rows), -1), ones], axis=1)
    return past, rows[:, known:].reshape(len(rows), -1)
