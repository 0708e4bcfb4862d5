"""Strict reading of config.json: settings that are not supported are refused by name."""

import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar

from jaxsd.terminal import printable
from jaxsd.text_files import read_text, table_of

Config = Mapping[str, Any]
Made = TypeVar("Made")

_OF_EMA = {
    "decay",
    "inv_gamma",
    "min_decay",
    "optimization_step",
    "power",
    "update_after_step",
    "use_ema_warmup",
}
"""What diffusers' `EMAModel` writes into the config.json of the network that it averages."""
_LARGEST = 2**63
LONGEST_SHOWN = 200


def read_json(path: Path) -> dict[str, Any]:
    """The table in a JSON file.

    Raises:
      ValueError: if it is not there, not JSON, or not a table.
    """
    if not path.is_file():
        raise ValueError(f"{path.parent} has no {path.name}, which every diffusers model has")
    # Some schedulers' infinite settings are written as such.
    return table_of(read_text(path), path, finite=False)


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
        return ValueError(
            printable(f"{self.where}: {name} = {printable(repr(value), LONGEST_SHOWN)} {why}")
        )

    def build(self, kind: Callable[..., Made], names: Mapping[str, str], **numbers: Any) -> Made:
        """The `kind` that has these numbers; `names` are those that the settings have for them."""
        try:
            return kind(**numbers)
        except ValueError as error:
            said = re.sub(r"\w+(?= =)", lambda name: names.get(name[0], name[0]), str(error))
            raise ValueError(printable(f"{self.where}: {said}")) from error

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
        if value not in tuple(allowed):
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

    def fraction(self, name: str, default: float) -> float:
        """A setting that is a number above 0."""
        value = self.get(name, default)
        if type(value) not in (int, float) or not 0 < value < 1e30:
            raise self.wrong(name, value, "should be a number above 0")
        return float(value)

    def words(self, name: str, default: list[str]) -> list[str]:
        """A setting that is a list of texts."""
        values = self.get(name, default)
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise self.wrong(name, values, "should be a list of texts")
        return values

    def numbers(self, name: str, default: list[int]) -> tuple[int, ...]:
        """A setting that is a list of positive whole numbers."""
        values = self.get(name, default)
        if not isinstance(values, list) or not values or not all(map(_counts, values)):
            raise self.wrong(name, values, "should be a list of positive whole numbers")
        return tuple(values)

    def reals(self, name: str) -> tuple[float, ...]:
        """A setting that is a list of numbers; null is none."""
        values = self.get(name) or []
        right = isinstance(values, list) and all(type(value) in (int, float) for value in values)
        if not right or not all(abs(value) < 1e30 for value in values):
            raise self.wrong(name, values, "should be a list of numbers")
        return tuple(map(float, values))

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
            known = name in self._known or name in ignored | _OF_EMA or name.startswith("_")
            if not known and value not in (None, False):
                raise self.wrong(name, value, "is not known here")


def _counts(value: Any) -> bool:
    return type(value) is int and 0 < value < _LARGEST
