"""Grids: the same picture with other values along up to three axes, as webui's X/Y/Z plot."""

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from jaxsd.bulk.axes import product
from jaxsd.config import ModelSpec
from jaxsd.settings import OPTIONS, SIZE, Settings, checked, settings_from
from jaxsd.typed import nearest

_NAMES = {
    "cfg": "guidance_scale",
    "cfg scale": "guidance_scale",
    "denoising": "strength",
    "negative": "negative_prompt",
}
"""Names of axes in webui, in lower case -> options."""
REPLACED = "prompt s/r"
"""The axis that replaces its first value in the prompts by each of its values."""
SCHEDULE = "schedule type"
"""The axis of noise levels, which end the name of a sampler; "automatic" for the sampler's own."""
_OTHERS = (REPLACED, SCHEDULE)
_NUMBER = r"[+-]?\d+(?:\.\d+)?"
_RANGE = re.compile(rf"({_NUMBER})\s*-\s*({_NUMBER})\s*(?:\(([+-]\d+(?:\.\d+)?)\)|\[(\d+)\])?")
LONGEST = 1000
"""Values of an axis at most."""


class Axis(NamedTuple):
    """What changes along a side of a grid."""

    title: str  # as the user calls it
    name: str  # an option, `SIZE`, or one of `_OTHERS`
    values: tuple[str, ...]

    @property
    def labels(self) -> list[str]:
        """What stands beside the pictures."""
        return [v if self.name == REPLACED else f"{self.title}: {v}" for v in self.values]


class Grid(NamedTuple):
    """The cells of a grid."""

    x: Axis | None
    y: Axis | None
    z: Axis | None
    cells: tuple[Settings, ...]  # checked; along x first, then y, then z

    @property
    def labels(self) -> tuple[list[str], list[str], list[str]]:
        """Those of x, y and z; one empty text for an axis that is not there."""
        return tuple([""] if axis is None else axis.labels for axis in self[:3])

    @property
    def described(self) -> dict[str, str]:
        """The axes under webui's names, for the text in the sheet."""
        said = {"Script": "X/Y/Z plot"}
        for side, axis in zip("XYZ", self[:3], strict=True):
            if axis is not None:
                said |= {f"{side} Type": axis.title, f"{side} Values": ", ".join(axis.values)}
        return said


def parse_axis(text: str) -> Axis:
    """An axis from "NAME: VALUE, VALUE, ...", as webui has them.

    A value with a comma stands in double quotes. Of numbers 1-5 means 1, 2, 3, 4, 5; 1-10 (+3)
    means 1, 4, 7, 10; and 1-10 [3] three numbers from 1 to 10.

    Raises:
      ValueError: another form, an axis that is not known, or too many values.
    """
    name, colon, listed = text.partition(":")
    name = " ".join(name.lower().split())
    option = _NAMES.get(name, name.replace(" ", "_") if name not in _OTHERS else name)
    if not colon or not name:
        raise ValueError(f"axis {text!r} is not NAME: VALUE, VALUE, ..., as in 'steps: 10, 20'")
    if option not in (*OPTIONS, *_OTHERS, SIZE):
        known = (*OPTIONS, *_OTHERS, *_NAMES, SIZE)
        raise ValueError(f"axis {name!r} is unknown; {nearest(name, known)}")
    numeric = option in OPTIONS and OPTIONS[option].type in (int, float, int | None, float | None)
    values = _values(listed)
    if numeric:
        values = [number for value in values for number in _ranged(value)]
    if not any(values):
        raise ValueError(f"axis {name!r} has no values; give some, as in '{name}: 1, 2'")
    if len(values) > LONGEST:
        raise ValueError(f"axis {name!r} has {len(values)} values; at most {LONGEST} are possible")
    return Axis(name, option, tuple(values))


def grid_of(base: Settings, spec: ModelSpec, x: str = "", y: str = "", z: str = "") -> Grid:
    """A grid around some settings.

    Args:
      base: what the axes do not say.
      spec: of the model.
      x: axis from left to right, see `parse_axis`; empty for none.
      y: axis from top to bottom.
      z: axis of whole grids.

    Raises:
      ValueError: in one line, for an axis that cannot be read, one that is there twice, or a cell
        that cannot be drawn.
    """
    axes = {side: parse_axis(text) for side, text in (("z", z), ("y", y), ("x", x)) if text}
    if not axes:
        raise ValueError("a grid needs an axis, as in --x 'steps: 10, 20'")
    values = {axis.name: list(axis.values) for axis in axes.values()}
    if len(values) < len(axes):
        names = ", ".join(axis.name for axis in axes.values())
        raise ValueError(f"two axes change the same: {names}")
    first = next(iter(values.get(REPLACED, [""])))
    if REPLACED in values and not first:
        raise ValueError(f"axis {REPLACED!r}: its first value, which is replaced, is empty")
    if first not in base.prompt and first not in base.negative_prompt:
        raise ValueError(f"axis {REPLACED!r}: the prompt has no {first!r}, its first value")
    cells = [checked(_cell(base, spec, row, first), spec) for row in _rows(values)]
    return Grid(axes.get("x"), axes.get("y"), axes.get("z"), tuple(cells))


def _rows(values: Mapping[str, list[str]]) -> Iterator[dict[str, Any]]:
    for row in product("", values):
        yield row if "prompt" in values else {k: v for k, v in row.items() if k != "prompt"}


def _cell(base: Settings, spec: ModelSpec, row: Mapping[str, Any], searched: str) -> Settings:
    own = {name: value for name, value in row.items() if name not in _OTHERS}
    if "width" not in own and "height" not in own and SIZE in own:
        base = replace(base, width=None, height=None)
    made = settings_from(own, base)
    if REPLACED in row:
        texts = (made.prompt, made.negative_prompt)
        prompt, negative = (text.replace(searched, row[REPLACED]) for text in texts)
        made = replace(made, prompt=prompt, negative_prompt=negative)
    if (schedule := row.get(SCHEDULE, "automatic").lower()) != "automatic":
        made = replace(made, sampler=f"{checked(made, spec).sampler}_{schedule}")
    return made


def _values(listed: str) -> list[str]:
    """Values between commas; one with a comma is in quotes."""
    try:
        (row,) = csv.reader([f"{listed}\n"], skipinitialspace=True, strict=True)
    except csv.Error:
        raise ValueError(f"the values {listed!r} have a quote that does not end") from None
    return [value.strip() for value in row]


def _ranged(text: str) -> list[str]:
    """The numbers that a range means; a text that is none as it is."""
    if not (found := _RANGE.fullmatch(text)):
        return [text]
    first, last = float(found[1]), float(found[2])
    if found[4]:
        count = int(found[4])
        numbers = np.linspace(first, last, min(count, LONGEST + 1))
    else:
        step = float(found[3] or (1 if last >= first else -1))
        count = int((last - first) / step + 1e-9) + 1 if step else 0
        if count < 1:
            raise ValueError(f"range {text!r} never comes to its end")
        numbers = first + step * np.arange(min(count, LONGEST + 1))
    whole = "." not in found[1] + found[2] + (found[3] or "")
    return [str(round(one)) if whole and not found[4] else f"{one:.6g}" for one in numbers]
