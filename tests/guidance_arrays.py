"""A row in which two images are guided, without a network: random outputs of their branches."""

from typing import Any

import numpy as np
from tiny_models import TINY, uniform

from jaxsd.sampling import Row, Step, rows_of
from jaxsd.sampling.call import Branches
from jaxsd.sampling.features import FEATURES
from jaxsd.schedulers import NoiseSchedule, build

SCHEDULE = NoiseSchedule.from_config(TINY["sd1"].schedule)
TABLEAU = build("ddim", SCHEDULE, 4, "v")
ROW = Row(*(field[1] for field in rows_of([TABLEAU] * 2)))
X, NEGATIVE, PROMPT = (uniform(name, (2, 5, 6, 4)) for name in ("x", "negative", "prompt"))
SCALE = 6.0


def x0_of(output: np.ndarray) -> np.ndarray:
    """In float64, of two images."""
    skip, out = (ROW.c_skip / ROW.c_in).astype(float), ROW.c_out.astype(float)
    return skip[:, None, None, None] * X + out[:, None, None, None] * output.astype(float)


def combined(name: str, *column: float, memory: Any = None) -> tuple[np.ndarray, Any]:
    """x0 of two images, guided by a feature with this column; and its memory."""
    total = NEGATIVE + np.float32(SCALE) * (PROMPT - NEGATIVE)
    branches = Branches(X, np.stack([NEGATIVE, PROMPT], axis=1))
    values = np.tile(np.float32(column), (2, 1))
    step = Step(ROW, {name: values[:, 0] if len(column) == 1 else values})
    output, memory = FEATURES[name].combine(None, branches, total, step, memory or {})
    return np.asarray(output), memory
