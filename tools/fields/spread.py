"""Information spread on a social graph: the independent cascade.

Who has just heard of it tells each neighbour once, with the probability of that edge (Kempe,
Kleinberg and Tardos 2003, section 2). A row has who knows at each time, [12, 32] of 0 and 1.
"""

import numpy as np

from fields.field import Field, Hidden

PEOPLE, TIMES, KNOWN = 32, 12, 4


def graph() -> np.ndarray:
    """Probabilities [PEOPLE, PEOPLE] that a tells b: a ring of near friends, of whom some are
    replaced by far ones (Watts and Strogatz 1998).
    """
    rng = np.random.default_rng(0)
    chances = np.zeros((PEOPLE, PEOPLE))
    for a in range(PEOPLE):
        for step in (1, 2):
            b = (a + step) % PEOPLE
            if rng.random() < 0.15:
                b = rng.choice(np.setdiff1d(np.arange(PEOPLE), [a, b]))
            chances[a, b], chances[b, a] = rng.uniform(0.25, 0.65, 2)
    return chances


def advanced(
    knows: np.ndarray, new: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """A step of cascades [N, PEOPLE] bool: who knows, and who has just heard of it."""
    quiet = np.exp(new @ np.log1p(-graph()))  # nobody succeeds
    heard = ~knows & (rng.random(knows.shape) > quiet)
    return knows | heard, heard


def simulate(count: int, rng: np.random.Generator) -> tuple[np.ndarray, Hidden]:
    """Cascades that one or two people begin."""
    begun = rng.integers(PEOPLE, size=(count, 2))
    knows = np.zeros((count, PEOPLE), bool)
    knows[np.arange(count)[:, None], begun] = True
    return _run(knows, knows, TIMES - 1, rng), {}


def continued(
    rows: np.ndarray, hidden: Hidden, members: int, rng: np.random.Generator
) -> np.ndarray:
    """The exact forecast: who has just heard of it is known, and no edge is asked twice."""
    past = np.tile(rows[:, :KNOWN], (members, 1, 1))
    knows = past[:, -1] > 0.5
    future = _run(knows, knows & (past[:, -2] < 0.5), TIMES - KNOWN, rng)[:, 1:]
    return np.concatenate([past, future], axis=1).reshape(members, *rows.shape)


def _run(knows: np.ndarray, new: np.ndarray, steps: int, rng: np.random.Generator) -> np.ndarray:
    kept = [knows]
    for _ in range(steps):
        knows, new = advanced(knows, new, rng)
        kept.append(knows)
    return np.stack(kept, axis=1).astype(np.float32)


def allowed(rows: np.ndarray) -> np.ndarray:
    """Rows of 0 and 1."""
    return (rows > 0.5).astype(np.float32)


def seen(rows: np.ndarray) -> np.ndarray:
    """How many people know, [..., T, 1]."""
    return rows.sum(-1, keepdims=True, dtype=np.float64)


FIELD = Field(
    simulate, KNOWN, TIMES, 1, allowed, seen, continued, "people", "People who know, of 32"
)
