"""Traffic on a grid: queues at 6 x 6 crossings.

In a step a crossing lets as many cars pass as its lights allow: many when they are green for the
main road, which alternates as on a chessboard. A car goes on to one of the four neighbours; beyond
the edge it is gone. Cars come in along the four sides, at rates that differ from row to row, and at
one crossing an accident lets few pass. A row has the square root of the cars that wait at 12 times,
[6, 6, 12], as channels of a picture.
"""

import numpy as np

from fields.field import Field, Hidden

SIDE, TIMES, KNOWN = 6, 12, 6
GREEN, RED, BLOCKED = 10, 5, 1
WARM_UP = 12


def simulate(count: int, rng: np.random.Generator) -> tuple[np.ndarray, Hidden]:
    """Roads that were empty WARM_UP steps ago, and an accident since then."""
    hidden = {
        "demand": rng.gamma(2.0, 0.9, (count, 4)),  # cars a step, at each crossing of a side
        "blocked": rng.integers(SIDE * SIDE, size=count),
    }
    queues = np.zeros((count, SIDE, SIDE), int)
    return _run(queues, hidden, range(-WARM_UP, TIMES), rng)[..., WARM_UP:], hidden


def continued(
    rows: np.ndarray, hidden: Hidden, members: int, rng: np.random.Generator
) -> np.ndarray:
    """Knows more than anyone: also the demand, and where the accident was."""
    last = np.rint(rows[..., KNOWN - 1].astype(np.float64) ** 2).astype(int)
    several = {name: np.tile(a, (members, *[1] * (a.ndim - 1))) for name, a in hidden.items()}
    future = _run(np.tile(last, (members, 1, 1)), several, range(KNOWN, TIMES), rng)
    past = np.broadcast_to(rows[None, ..., :KNOWN], (members, *rows[..., :KNOWN].shape))
    return np.concatenate([past, future.reshape(members, *rows.shape[:-1], -1)], axis=-1)


def _run(queues: np.ndarray, hidden: Hidden, times: range, rng: np.random.Generator) -> np.ndarray:
    """Square roots of queues [N, SIDE, SIDE, times] after each step."""
    demand = _along_sides(hidden["demand"])
    blocked = np.arange(SIDE * SIDE) == hidden["blocked"][:, None]
    chessboard = np.add.outer(np.arange(SIDE), np.arange(SIDE)) % 2
    kept = []
    for time in times:
        lights = np.where((chessboard + time // 2) % 2, GREEN, RED)
        most = np.where(blocked.reshape(-1, SIDE, SIDE), BLOCKED, lights)
        passing = rng.binomial(np.minimum(queues, most), 0.9)
        queues = queues - passing + _next(passing, rng) + rng.poisson(demand)
        kept.append(queues)
    return np.sqrt(np.stack(kept, axis=-1)).astype(np.float32)


def _along_sides(demand: np.ndarray) -> np.ndarray:
    """Rates [N, 4] of the sides -> of the crossings, [N, SIDE, SIDE]."""
    rates = np.zeros((len(demand), SIDE, SIDE))
    for side, place in enumerate((np.s_[:, 0], np.s_[:, -1], np.s_[:, :, 0], np.s_[:, :, -1])):
        rates[place] += demand[:, side, None]
    return rates


def _next(passing: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Where passing cars [N, SIDE, SIDE] are next, if they are still on the grid."""
    left = np.pad(rng.multinomial(passing, [0.25] * 4), ((0, 0), (1, 1), (1, 1), (0, 0)))
    up, down, west, east = np.moveaxis(left, -1, 0)
    moved = np.roll(up, -1, 1) + np.roll(down, 1, 1) + np.roll(west, -1, 2) + np.roll(east, 1, 2)
    return moved[:, 1:-1, 1:-1]


def allowed(rows: np.ndarray) -> np.ndarray:
    """Roots of 0 or more."""
    return np.maximum(rows, 0)


def seen(rows: np.ndarray) -> np.ndarray:
    """Cars that wait at each crossing, [..., T, SIDE * SIDE]."""
    queues = rows.astype(np.float64) ** 2
    return np.moveaxis(queues.reshape(*rows.shape[:-3], SIDE * SIDE, rows.shape[-1]), -1, -2)


FIELD = Field(
    simulate, KNOWN, TIMES, 3, allowed, seen, continued, "cars", "Cars that wait, all crossings"
)
