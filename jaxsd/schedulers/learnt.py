"""Samplers that were learnt (`jaxsd.training.learnt_tables`): files of levels and weights.

A file is a JSON text. It has a table for each number of steps that it was learnt for:

    {"samplers": [{"timesteps": [999, 750.5],
                   "sigmas": [14.6, 2.5, 0],
                   "weights": [[1], [1.3, -0.3]]}],
     "about": {"model": "emoji"}}
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from jaxsd.schedulers.given import falling, given_sigmas, given_timesteps
from jaxsd.schedulers.grid import Grid, variance_preserving
from jaxsd.schedulers.noise import STANDS_FOR_ZERO, NoiseSchedule
from jaxsd.schedulers.tableau import HISTORY, Tableau, blank, tabulate
from jaxsd.text_files import read_json
from jaxsd.typed import built
from jaxsd.types import Prediction
from jaxsd.writing import replacing

MOST_STEPS = 1000
NOISIER = 1.01
"""How much noisier than the model's last timestep a sampler may begin."""


@dataclass(frozen=True)
class Learnt:
    """A multistep method of n steps, with estimates m of x0, newest first.

    x' = sigma'/sigma*x + (alpha' - alpha*sigma'/sigma) * sum_k weights[k]*m[k]

    Attributes:
      timesteps: [n], given to the network.
      sigmas: [n+1] noise over signal, falling; the last, which may be 0, is that of the result.
      weights: of each step, one for each estimate that it reads; they add up to 1.
    """

    timesteps: tuple[float, ...]
    sigmas: tuple[float, ...]
    weights: tuple[tuple[float, ...], ...]

    @property
    def steps(self) -> int:
        """How many there are, n."""
        return len(self.timesteps)

    def __post_init__(self) -> None:
        """Checks the numbers.

        Raises:
          ValueError: there are too few or too many, or they are not as `Learnt` says.
        """
        if not 1 <= self.steps <= MOST_STEPS:
            raise ValueError(f"timesteps are {self.steps}; allowed are 1 to {MOST_STEPS}")
        if falling(self.timesteps, self.steps) is None:
            raise ValueError("timesteps must be falling numbers")
        if given_sigmas(self.sigmas, self.steps)[-2] <= 0:
            raise ValueError("sigmas must be above 0, but for the last")
        if len(self.weights) != self.steps:
            raise ValueError(f"weights are of {len(self.weights)} steps, not {self.steps}")
        for i, own in enumerate(self.weights):
            if not 1 <= len(own) <= (most := min(i + 1, HISTORY)):
                raise ValueError(f"weights of step {i} are {len(own)}; allowed are 1 to {most}")
            if abs(sum(own) - 1) > 1e-6:
                raise ValueError(f"weights of step {i} add up to {sum(own):g}, not to 1")


@dataclass(frozen=True)
class File:
    """What a file of learnt samplers has.

    Attributes:
      samplers: by their numbers of steps, each number once.
      about: how they were learnt; only people read it.
    """

    samplers: tuple[Learnt, ...]
    about: dict = field(default_factory=dict)


def is_learnt(sampler: str | None) -> bool:
    """Whether the name of a sampler is that of a file."""
    return sampler is not None and sampler.lower().endswith(".json")


def read_learnt(path: str | Path) -> dict[int, Learnt]:
    """The samplers in a file by their steps, the fewest first.

    Raises:
      ValueError: it is no such file.
      OSError: it can not be read.
    """
    return _read(Path(path), Path(path).stat().st_mtime_ns)


def steps_in(path: str | Path) -> tuple[int, ...]:
    """The numbers of steps that a file has samplers for, rising; see `read_learnt`."""
    return tuple(read_learnt(path))


@lru_cache(maxsize=16)
def _read(path: Path, changed: int) -> dict[int, Learnt]:
    try:
        found = built(File, read_json(path)).samplers
    except ValueError as error:
        named = str(error).startswith(str(path))
        raise ValueError(str(error) if named else f"{path}: {error}") from None
    steps = sorted(one.steps for one in found)
    if not steps or len(set(steps)) < len(steps):
        raise ValueError(f"{path}: samplers are of {steps} steps; give one for each number")
    return {one.steps: one for one in sorted(found, key=lambda one: one.steps)}


def write_learnt(path: str | Path, samplers: list[Learnt], about: dict[str, Any]) -> None:
    """Writes a file of samplers.

    Raises:
      OSError: it can not be written.
    """
    text = json.dumps(asdict(File(tuple(samplers), about)), indent=1)
    with replacing(Path(path)) as part:
        part.write_text(text + "\n", encoding="utf-8")


def learnt_of(path: str, steps: int) -> Learnt:
    """The sampler of a number of steps.

    Raises:
      ValueError: the file has none, or is no such file.
      OSError: it can not be read.
    """
    found = read_learnt(path)
    if steps not in found:
        known = ", ".join(map(str, found))
        raise ValueError(f"{path} has samplers of {known} steps, not {steps}; give such steps")
    return found[steps]


def method_of(learnt: Learnt) -> tuple[Callable[..., Tableau], Callable[..., Grid]]:
    """The builder and the grid, as `Sampler` has them.

    Where a drawing begins from a picture, the first rows of the whole table are left out; what
    later ones read of them goes to the newest estimate.
    """

    def grid(schedule: NoiseSchedule, steps: int) -> Grid:
        sigmas, noisiest = np.array(learnt.sigmas), schedule.noise_to_signal[-1]
        if sigmas[0] > NOISIER * noisiest:
            raise ValueError(
                f"the learnt sampler begins at sigma {sigmas[0]:g}, and this model's noise ends at "
                f"{noisiest:g}: it was learnt for another model"
            )
        timesteps = given_timesteps(schedule, learnt.timesteps, steps)
        return Grid(timesteps, *variance_preserving(sigmas))

    def builder(schedule: NoiseSchedule, grid: Grid, prediction: Prediction) -> Tableau:
        rows = blank(grid.steps)
        ratio = grid.sigma[1:] / grid.sigma[:-1]
        rows.samples[:, 0, 0] = ratio
        for i, own in enumerate(learnt.weights[-grid.steps :]):
            kept = own[: i + 1]
            rows.history[i, 0, : len(kept)] = kept
            rows.history[i, 0, 0] = 1 - sum(kept[1:])
        rows.history[:, 0] *= (grid.alpha[1:] - grid.alpha[:-1] * ratio)[:, None]
        return tabulate(prediction, rows, **grid._asdict())

    return builder, grid


def as_learnt(tableau: Tableau) -> Learnt:
    """A table in this form, to begin with.

    Raises:
      ValueError: the method adds noise, keeps other samples, or its history is not x0.
    """
    rows = np.arange(tableau.rows)
    plain = np.array_equal(tableau.keep, np.tile([0, 1], (tableau.rows, 1)))
    if np.any(tableau.noise) or np.any(tableau.samples[:, 0, 1]) or not plain:
        raise ValueError("a sampler is learnt from a multistep one without noise: ddim, dpm++_2m")
    weights = np.float64(tableau.history[:, 0])
    weights /= weights.sum(axis=1, keepdims=True)
    # Zero terminal SNR begins at any noise over signal, so at a large one.
    alpha = np.maximum(np.float64(tableau.alpha), np.sqrt(STANDS_FOR_ZERO))
    sigmas = np.float64(tableau.sigma) / alpha
    return Learnt(
        tuple(np.float64(tableau.timestep).tolist()),
        tuple(sigmas.tolist()),
        tuple(tuple(weights[i, : min(i + 1, HISTORY)].tolist()) for i in rows),
    )
