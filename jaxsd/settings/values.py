"""Settings from tables and texts, as in TOML, JSON, CSV and on the command line."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from jaxsd.settings.options import OPTIONS, Settings
from jaxsd.typed import nearest, parsed, value_of

SIZE = "size"
"""Shorthand for width and height together, "WIDTHxHEIGHT"."""


_DEFAULTS = Settings()


def settings_from(values: Mapping[str, Any], defaults: Settings = _DEFAULTS) -> Settings:
    """Settings from a table of values, or of texts as in CSV and on the command line.

    Raises:
      ValueError: an unknown name, or a value of the wrong type.
    """
    values = with_sides(values)
    for name in values:
        if name not in OPTIONS:
            raise ValueError(f"unknown option {name!r}; {nearest(name, [*OPTIONS, SIZE])}")
    return replace(defaults, **{name: option_value(name, value) for name, value in values.items()})


def option_value(name: str, value: Any) -> Any:
    """The value of an option, from Python, TOML, JSON or a text.

    Raises:
      ValueError: of the wrong type.
    """
    kind = OPTIONS[name].type
    if isinstance(value, str) and kind not in (str, str | None):
        return parsed(kind, value, name)
    return value_of(kind, value, name)


def with_sides(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values with `width` and `height` in place of `size`.

    Raises:
      ValueError: not "WIDTHxHEIGHT", or a side beside it that is another.
    """
    rest = dict(values)
    if (size := rest.pop(SIZE, None)) is None:
        return rest
    found = re.fullmatch(r"(\d{1,5})[xX](\d{1,5})", str(size))
    if not found:
        raise ValueError(f"size {size!r} is not WIDTHxHEIGHT in pixels, such as 512x768")
    for name, side in zip(("width", "height"), map(int, found.groups()), strict=True):
        given = rest.get(name)
        if given is not None and option_value(name, given) != side:
            raise ValueError(f"size {size} and {name} {given} differ; give one of them")
        rest[name] = side
    return rest
