"""Strict reading of config.json: settings that are not supported are refused by name."""

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

Config = Mapping[str, Any]


def read_json(path: Path) -> dict[str, Any]:
    """The table in a JSON file.

    Raises:
      ValueError: if it is not there, not JSON, or not a table.
    """
    if not path.is_file():
        raise ValueError(f"{path.parent} has no {path.name}, which every diffusers model has")
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    if not isinstance(table, dict):
        raise ValueError(f"{path} is not a table of settings")
    return table


class Fields:
    """The settings of a config. It remembers which were read, to refuse the others.

    Methods raise `ValueError` in one line: the file (`where`), the setting, its value, what is
    allowed.
    """

    def __init__(self, config: Config, where: str) -> None:
        self.where = where
        self._config = config
        self._known: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        """A setting of any kind."""
        self._known.add(name)
        return self._config.get(name, default)

    def wrong(self, name: str, value: Any, why: str) -> ValueError:
        """The error to raise for a setting."""
        return ValueError(f"{self.where}: {name} = {value!r} {why}")

    def require(self, wanted: Config) -> None:
        """Refuse a config with a setting that networks here do not support.

        `wanted` is setting -> the only value known here, which is also what its absence means.
        """
        for name, value in wanted.items():
            given = self.get(name, value)
            if given != value:
                raise self.wrong(name, given, f"is not supported, only {value!r}")

    def one_of(self, name: str, allowed: Collection[str | None], default: str | None) -> Any:
        """A setting that has one of a few values."""
        value = self.get(name, default)
        if value not in allowed:
            raise self.wrong(name, value, f"is not one of {', '.join(filter(None, allowed))}")
        return value

    def switch(self, name: str, *, default: bool) -> bool:
        """A setting that is true or false."""
        value = self.get(name, default)
        if not isinstance(value, bool):
            raise self.wrong(name, value, "should be true or false")
        return value

    def number(self, name: str, default: int | None = None) -> int:
        """A setting that is a positive whole number."""
        value = self.get(name, default)
        if not _counts(value):
            raise self.wrong(name, value, "should be a positive whole number")
        return value

    def numbers(self, name: str, default: list[int]) -> tuple[int, ...]:
        """A setting that is a list of positive whole numbers."""
        values = self.get(name, default)
        if not isinstance(values, list) or not values or not all(map(_counts, values)):
            raise self.wrong(name, values, "should be a list of positive whole numbers")
        return tuple(values)

    def per_level(self, name: str, count: int, default: int) -> tuple[int, ...]:
        """A setting that is one number for all levels, or a list. The result has one per level."""
        value = self.get(name, default)
        values = value if isinstance(value, list) else [value] * count
        if len(values) != count or not all(map(_counts, values)):
            why = f"should be one positive whole number, or {count} of them"
            raise self.wrong(name, value, why)
        return tuple(values)

    def refuse_others(self, ignored: set[str]) -> None:
        """Refuse settings that were not read, unless they are `ignored` or off (null, false)."""
        for name, value in self._config.items():
            known = name in self._known or name in ignored or name.startswith("_")
            if not known and value not in (None, False):
                raise self.wrong(name, value, "is not known here")


def _counts(value: Any) -> bool:
    return type(value) is int and value > 0
