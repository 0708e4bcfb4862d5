"""Reading config.json strictly: what is understood is used, what differs is refused by name."""

import json
from collections.abc import Mapping
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


def require(config: Config, wanted: Config, where: str) -> None:
    """Refuse a config that asks for something a network here does not do.

    `wanted` is setting -> the only value known here, which is also what its absence means.

    Raises:
      ValueError: naming the setting, its value and the value that is known.
    """
    for name, value in wanted.items():
        given = config.get(name, value)
        if given != value:
            raise ValueError(f"{where}: {name} = {given!r} is not supported, only {value!r}")


def refuse_unknown(config: Config, known: set[str], where: str) -> None:
    """Refuse settings that nothing here has heard of, unless they are off (null or false).

    Raises:
      ValueError: naming the first of them.
    """
    for name, value in config.items():
        if name not in known and not name.startswith("_") and value not in (None, False):
            raise ValueError(f"{where}: {name} = {value!r} is not known here")


def number(config: Config, name: str, where: str, default: int | None = None) -> int:
    """A setting that is a positive whole number.

    Raises:
      ValueError: if it is not.
    """
    value = config.get(name, default)
    if not _counts(value):
        raise ValueError(f"{where}: {name} = {value!r} should be a positive whole number")
    return value


def numbers(config: Config, name: str, where: str, default: list[int]) -> tuple[int, ...]:
    """A setting that is a list of positive whole numbers.

    Raises:
      ValueError: if it is not.
    """
    values = config.get(name, default)
    if not isinstance(values, list) or not values or not all(map(_counts, values)):
        raise ValueError(f"{where}: {name} = {values!r} should be a list of positive whole numbers")
    return tuple(values)


def per_level(config: Config, name: str, count: int, where: str, default: int) -> tuple[int, ...]:
    """A setting that is one number for all levels, or a list of one per level; as the latter.

    Raises:
      ValueError: if it is neither.
    """
    value = config.get(name, default)
    values = value if isinstance(value, list) else [value] * count
    if len(values) != count or not all(map(_counts, values)):
        raise ValueError(
            f"{where}: {name} = {value!r} should be one positive whole number, or {count} of them"
        )
    return tuple(values)


def _counts(value: Any) -> bool:
    return type(value) is int and value > 0
