"""What to draw: one row an image, checked before anything is compiled."""

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

from jaxsd.bulk.config import BulkConfig
from jaxsd.bulk.tables import records
from jaxsd.config import ModelSpec
from jaxsd.schedulers import NoiseSchedule, Tableau, build

COLUMNS = ("id", "prompt", "negative_prompt", "seed", "guidance_scale", "size", "sampler", "steps")

TableauOf = Callable[[str, int], Tableau]
"""(sampler, steps) -> its table; raises ValueError."""


@dataclass(frozen=True, slots=True)
class Row:
    """One image, everything said."""

    id: str
    prompt: str
    negative_prompt: str
    seed: int
    guidance_scale: float
    width: int
    height: int
    sampler: str
    steps: int


class BadRow(NamedTuple):
    """A row that can not be drawn: its line in the file, from 1, and why."""

    line: int
    error: str


def tableaus(spec: ModelSpec) -> TableauOf:
    """The tables of a model's samplers, each made once."""
    schedule = NoiseSchedule.from_config(spec.schedule)
    return cache(lambda sampler, steps: build(sampler, schedule, steps, spec.prediction))


def read_rows(
    config: BulkConfig, spec: ModelSpec, tableau_of: TableauOf
) -> tuple[list[Row], list[BadRow]]:
    """All rows of a run, in order, and those that can not be drawn.

    Raises:
      ValueError: a file that can not be read as a table.
      FileNotFoundError: no such file.
    """
    return checked(records(config), config, spec, tableau_of)


def checked(
    lines: Iterable[tuple[int, dict[str, Any] | str]],
    config: BulkConfig,
    spec: ModelSpec,
    tableau_of: TableauOf,
) -> tuple[list[Row], list[BadRow]]:
    """Rows of (line number, values), or of (line number, what is wrong with the line)."""
    rows, bad, ids = [], [], set()
    for index, (line, values) in enumerate(lines):
        try:
            if isinstance(values, str):
                raise ValueError(values)
            row = _row(index, values, config, spec)
            tableau_of(row.sampler, row.steps)
            if row.id in ids:
                raise ValueError(f"id {row.id!r} was used before")
        except ValueError as error:
            bad.append(BadRow(line, str(error)))
            continue
        ids.add(row.id)
        rows.append(row)
    return rows, bad


def _row(index: int, values: dict[str, Any], config: BulkConfig, spec: ModelSpec) -> Row:
    if unknown := sorted(set(values) - set(COLUMNS)):
        raise ValueError(f"unknown column {unknown[0]!r}; known are {', '.join(COLUMNS)}")
    said = {name: value for name, value in values.items() if value is not None}
    row_id = str(said.get("id", f"{index:08d}"))
    if not re.fullmatch(r"[\w-]{1,100}", row_id):
        raise ValueError(f"id {row_id!r} is not 1 to 100 letters, digits, '_' or '-'")
    width, height = _size(str(said.get("size", config.size)), spec)
    scale = _number(float, "guidance_scale", said.get("guidance_scale", config.guidance_scale))
    if not math.isfinite(scale):
        raise ValueError(f"guidance_scale {scale} is not a finite number")
    seed = _number(int, "seed", said.get("seed", config.seed))
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed {seed} is not 0 to {2**32 - 1}")
    return Row(
        id=row_id,
        prompt=_words(said.get("prompt", "")),
        negative_prompt=_text(said.get("negative_prompt", config.negative_prompt)),
        seed=seed,
        guidance_scale=scale or spec.guidance_scale,
        width=width,
        height=height,
        sampler=str(said.get("sampler", config.sampler)),
        steps=_number(int, "steps", said.get("steps", config.steps)),
    )


def _words(value: Any) -> str:
    if not _text(value).strip():
        raise ValueError("the prompt is empty")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not a text")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{value!r} is not valid Unicode") from None
    return value


def _number(kind: type, name: str, value: Any) -> Any:
    """A number that may be written as text, as in CSV."""
    try:
        number = kind(value)
        if isinstance(value, bool) or (not isinstance(value, str) and number != value):
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{name} {value!r} is not of type {kind.__name__}") from None
    return number


def _size(size: str, spec: ModelSpec) -> tuple[int, int]:
    if not size:
        return spec.default_size, spec.default_size
    unit = spec.vae.downscale
    if not (found := re.fullmatch(r"(\d{1,5})[xX](\d{1,5})", size)):
        raise ValueError(f"size {size!r} is not WIDTHxHEIGHT in pixels, such as 512x768")
    width, height = map(int, found.groups())
    for side in (width, height):
        if side == 0 or side % unit:
            raise ValueError(f"size {size}: {side} is not a multiple of {unit} above 0")
    return width, height
