"""Epidemic curves: SEIR as a chain of binomials, whose rates differ from epidemic to epidemic.

In a step each susceptible is infected with probability 1 - exp(-beta I / N), each exposed falls ill
with probability p, each ill recovers with probability q (Abbey 1952 for the chain). A row has the
square roots of S, E and I at each time, [32, 3]: the noise of a root is about the same everywhere.
"""

import numpy as np

from fields.field import Field, Hidden

PEOPLE, TIMES, KNOWN = 10_000, 32, 12
CHANCE, R0 = (0.25, 0.6), (1.5, 4.0)
"""Ranges of p and q, and of beta over the rate of recovery, -log(1 - q)."""
CHANCES, BETAS = np.linspace(*CHANCE, 300), np.linspace(0.43, 3.67, 800)
"""The grid of rates that a forecast looks at."""


def rates(count: int, rng: np.random.Generator) -> Hidden:
    """beta, p and q of epidemics."""
    ill, well = rng.uniform(*CHANCE, (2, count))
    return {"beta": rng.uniform(*R0, count) * -np.log1p(-well), "p": ill, "q": well}


def simulate(count: int, rng: np.random.Generator) -> tuple[np.ndarray, Hidden]:
    """Epidemics that 5 to 30 people begin, of whom 0 to 30% are immune."""
    hidden = rates(count, rng)
    ill = rng.integers(5, 31, count)
    immune = rng.uniform(0, 0.3, count) * PEOPLE
    begun = np.stack([PEOPLE - ill - immune.astype(int), np.zeros(count, int), ill], axis=-1)
    return _run(begun, hidden, TIMES - 1, rng), hidden


def _run(now: np.ndarray, hidden: Hidden, steps: int, rng: np.random.Generator) -> np.ndarray:
    kept = [now]
    for _ in range(steps):
        s, e, i = now.T
        infected = rng.binomial(s, -np.expm1(-hidden["beta"] * i / PEOPLE))
        fell, recovered = rng.binomial(e, hidden["p"]), rng.binomial(i, hidden["q"])
        now = np.stack([s - infected, e + infected - fell, i + fell - recovered], axis=-1)
        kept.append(now)
    return np.sqrt(np.stack(kept, axis=1)).astype(np.float32)


def continued(
    rows: np.ndarray, hidden: Hidden, members: int, rng: np.random.Generator
) -> np.ndarray:
    """The exact forecast, up to the grid of rates: rates by their posterior, then the chain."""
    counts = np.rint(rows[:, :KNOWN].astype(np.float64) ** 2).astype(int)
    futures = []
    for past in counts:
        own = posterior(past, members, rng)
        futures.append(_run(np.tile(past[-1], (members, 1)), own, TIMES - KNOWN, rng)[:, 1:])
    past = np.broadcast_to(rows[None, :, :KNOWN], (members, *rows[:, :KNOWN].shape))
    return np.concatenate([past, np.stack(futures, axis=1)], axis=2)


def posterior(past: np.ndarray, members: int, rng: np.random.Generator) -> Hidden:
    """Rates [members] that the counts [KNOWN, 3] of an epidemic allow, drawn from a grid.

    The likelihood is a product over the three rates; only the prior of beta depends on q.
    """
    (s, e, i), after = past[:-1].T, past[1:].T
    infected = s - after[0]
    fell = e + infected - after[1]
    recovered = i + fell - after[2]
    chances = -np.expm1(-BETAS[:, None] * i / PEOPLE)
    share = BETAS[:, None] / -np.log1p(-CHANCES)
    allowed = (share >= R0[0]) & (share <= R0[1])
    of_q = _log_likelihood(recovered, i, CHANCES[:, None]) - np.log(-np.log1p(-CHANCES))
    both = _log_likelihood(infected, s, chances)[:, None] + of_q
    logs = np.where(allowed, both, -np.inf)
    beta, q = np.unravel_index(_chosen(logs.ravel(), members, rng), logs.shape)
    p = _chosen(_log_likelihood(fell, e, CHANCES[:, None]), members, rng)
    return {"beta": BETAS[beta], "p": CHANCES[p], "q": CHANCES[q]}


def _log_likelihood(done: np.ndarray, of: np.ndarray, chance: np.ndarray) -> np.ndarray:
    """Of `done` [t] among `of` [t], [K] for chances [K, t] or [K, 1], without coefficients."""
    chance = np.clip(chance, 1e-300, None)
    return (done * np.log(chance) + (of - done) * np.log1p(-chance)).sum(-1)


def _chosen(logs: np.ndarray, members: int, rng: np.random.Generator) -> np.ndarray:
    """Places [members], drawn with probabilities that are exp(logs) [K] but for a factor."""
    shares = np.exp(logs - logs.max())
    return rng.choice(len(shares), size=members, p=shares / shares.sum())


def allowed(rows: np.ndarray) -> np.ndarray:
    """Roots of 0 or more."""
    return np.maximum(rows, 0)


def seen(rows: np.ndarray) -> np.ndarray:
    """How many are ill, [..., T, 1]."""
    return rows[..., 2:].astype(np.float64) ** 2


FIELD = Field(
    simulate, KNOWN, TIMES, 1, allowed, seen, continued, "people", "People who are ill, of 10,000"
)
