"""What to draw: one row per image, checked before anything is compiled."""

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from jaxsd.bulk.config import BulkConfig
from jaxsd.bulk.tables import records
from jaxsd.canvases import masks_of
from jaxsd.config import ModelSpec
from jaxsd.settings import OPTIONS, SIZE, Settings, box_of, checked, settings_from
from jaxsd.typed import is_whole, nearest

COLUMNS = ("id", *OPTIONS, SIZE)
LARGEST_ID = 200
"""Bytes of an id: file systems take 255 for a name, and some letters are four."""
LISTED = 50
"""Bad rows that are listed; the rest are only counted."""


class Row(NamedTuple):
    """One image with all its settings."""

    id: str
    settings: Settings  # checked


class BadRow(NamedTuple):
    """A row that cannot be drawn: its line in the file, from 1, and why."""

    line: int
    error: str


def read_rows(config: BulkConfig, spec: ModelSpec) -> tuple[list[Row], list[BadRow]]:
    """All rows of a run, in order, and those that cannot be drawn.

    Raises:
      ValueError: a file that cannot be read as a table, or that has no rows.
      FileNotFoundError: no such file.
    """
    rows, bad = rows_from(records(config), config, spec)
    if not rows and not bad:
        raise ValueError(f"{config.rows} has no rows")
    return rows, bad


def rows_from(
    lines: Iterable[tuple[int, dict[str, Any] | str]], config: BulkConfig, spec: ModelSpec
) -> tuple[list[Row], list[BadRow]]:
    """Rows of (line number, values), or of (line number, what is wrong with the line)."""
    rows, bad, ids = [], [], set()
    defaults, folder = config.settings, Path(config.inputs)
    is_file = cache(lambda name: os.path.isfile(folder / name))  # also for names that are too long
    for index, (line, values) in enumerate(lines):
        try:
            if isinstance(values, str):
                raise ValueError(values)
            said = {name: value for name, value in values.items() if value is not None}
            row_id = _id(said.pop("id", f"{index:08d}"), ids)
            settings = checked(_settings(said, defaults), spec)
            for name in pictures_of(settings):
                if not is_file(name):
                    raise ValueError(f"picture {name!r}: there is no file {folder / name}")
        except ValueError as error:
            bad.append(BadRow(line, str(error)))
            continue
        ids.add(row_id)
        rows.append(Row(row_id, settings))
    return rows, bad


def pictures_of(settings: Settings) -> tuple[str, ...]:
    """The names of the pictures that an image is made from."""
    mask = "" if box_of(settings.mask) else settings.mask
    files = (settings.image, mask, settings.depth, settings.reference)
    seen = (one.image for one in (*settings.control, *settings.ip_adapter))
    return (*filter(None, files), *seen, *settings.ip_adapter_mask, *masks_of(settings))


def refuse(bad: Sequence[BadRow], count: int, say: Callable[[str], None]) -> None:
    """Lists the rows of `count` that cannot be drawn.

    Raises:
      ValueError: always.
    """
    for line, error in bad[:LISTED]:
        say(f"line {line}: {error}")
    if len(bad) > LISTED:
        say(f"and {len(bad) - LISTED} more")
    raise ValueError(f"{len(bad)} of {count} rows cannot be drawn; mend them, or --skip-bad-rows")


def _settings(said: Mapping[str, Any], defaults: Settings) -> Settings:
    for name in said:
        if name not in COLUMNS:
            raise ValueError(f"unknown column {name!r}; {nearest(name, COLUMNS)}")
    settings = settings_from(said, defaults)
    if not settings.prompt.strip():
        raise ValueError("the prompt is empty")
    return settings


def _id(value: Any, used: set[str]) -> str:
    row_id = str(int(value)) if is_whole(value) else value
    if not isinstance(row_id, str) or not re.fullmatch(r"[\w-]{1,100}", row_id):
        raise ValueError(f"id {value!r} is not 1 to 100 letters, digits, '_' or '-'")
    if len(row_id.encode()) > LARGEST_ID:
        raise ValueError(f"id {row_id!r} has more than {LARGEST_ID} bytes, as the name of a file")
    if row_id in used:
        raise ValueError(f"id {row_id!r} was used before")
    return row_id
