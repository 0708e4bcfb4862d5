"""Epidemic curves: SEIR as a chain of binomials, whose rates differ from epidemic to epidemic.

In a step each susceptible is infected with probability 1 - exp(-beta I / N), each exposed falls ill
with probability p, each ill recovers with probability q (Abbey 1952 for the chain). A row has the
square roots of S, E and I at each time, [32, 3]: the noise of a root is about the same everywhere.
"""

import numpy as np
from fields.field import Field, Hidden

PEOPLE, TIMES, KNOWN = 10_000, 32, 12
PARTICLES = 4_000
"""Rates from which those of an epidemic are drawn again."""


def rates(count: int, rng: np.random.Generator) -> Hidden:
    """beta, p and q of epidemics."""
    ill, well = rng.uniform(0.25, 0.6, (2, count))
    return {"beta": rng.uniform(1.5, 4.0, count) * -np.log1p(-well), "p": ill, "q": well}


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
    """The exact forecast, as far as PARTICLES allow: rates by their likelihood, then the chain."""
    prior = rates(PARTICLES, rng)
    counts = np.rint(rows[:, :KNOWN].astype(np.float64) ** 2).astype(int)
    futures = []
    for past in counts:
        shares = _likelihood(past, prior)
        chosen = rng.choice(PARTICLES, size=members, p=shares)
        own = {name: values[chosen] for name, values in prior.items()}
        futures.append(_run(np.tile(past[-1], (members, 1)), own, TIMES - KNOWN, rng)[:, 1:])
    past = np.broadcast_to(rows[None, :, :KNOWN], (members, *rows[:, :KNOWN].shape))
    return np.concatenate([past, np.stack(futures, axis=1)], axis=2)


def _likelihood(past: np.ndarray, prior: Hidden) -> np.ndarray:
    """Shares of the particles for the counts [KNOWN, 3] of an epidemic.

    Binomial coefficients are the same for all of them.
    """
    (s, e, i), after = past[:-1].T, past[1:].T
    infected = s - after[0]
    fell = e + infected - after[1]
    recovered = i + fell - after[2]
    chance = -np.expm1(-prior["beta"][:, None] * i / PEOPLE)
    total = np.zeros(len(chance))
    for done, of, p in ((infected, s, chance), (fell, e, prior["p"][:, None]), (recovered, i, prior["q"][:, None])):
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = np.where(done > 0, done * np.log(p), 0) + (of - done) * np.log1p(-p)
        total += logs.sum(-1)
    shares = np.exp(total - total.max())
    return shares / shares.sum()


def seen(rows: np.ndarray) -> np.ndarray:
    """How many are ill, [..., T, 1]."""
    return np.maximum(rows[..., 2:].astype(np.float64), 0) ** 2


FIELD = Field(simulate, KNOWN, TIMES, 1, seen, continued, "people", "People who are ill, of 10,000")
