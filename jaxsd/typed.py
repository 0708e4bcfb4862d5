"""Dataclasses from tables and texts: every key and every type is checked."""

import difflib
import math
import numbers
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin

from jaxsd.terminal import printable
from jaxsd.text_files import LONGEST_TEXT, read_text, toml_of

Kind = TypeVar("Kind")
_LONGEST_NAME = 100
_SHOWN = 200
EXACT = 2**53
"""A float64 below it that is a whole number was written as that number."""


def nearest(name: str, known: Iterable[str]) -> str:
    """The known names nearest to an unknown one, up to three, as a part of an error message."""
    close = difflib.get_close_matches(name[:_LONGEST_NAME], list(known), n=3, cutoff=0.0)
    return f"nearest are {', '.join(close)}"


def read_toml(kind: type[Kind], path: str | Path, overrides: Sequence[str], examples: str) -> Kind:
    """A dataclass from a TOML file, with `key=value` overrides in TOML's syntax (`lora.rank=4`).

    A bare word as value is a string.

    Raises:
      ValueError: not TOML, an unknown or missing key, a value that is not allowed.
      FileNotFoundError: no such file; the message refers to `examples`.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no configuration file {path}; see {examples}")
    values = overridden(toml_of(read_text(path), path), overrides)
    try:
        if values.get("output") == "":  # of every run the folder, which here would be this one
            raise ValueError("output is empty; give the folder of the run")
        return built(kind, values)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def overridden(values: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """A table with the values of `key=value` texts, as `read_toml` takes them.

    Raises:
      ValueError: an override that is not TOML.
    """
    for override in overrides:
        values = _merged(values, _override(override))
    return values


def built(kind: type[Kind], values: Mapping[str, Any], prefix: str = "") -> Kind:
    """A dataclass from a table.

    Raises:
      ValueError: an unknown or missing key, a value of the wrong type.
    """
    known = {f.name: f for f in fields(kind)}
    for name in values:
        if name not in known:
            raise ValueError(f"unknown key {_shown(prefix + name)}; {nearest(name, known)}")
    typed = {name: value_of(known[name].type, v, prefix + name) for name, v in values.items()}
    required = [
        n for n, f in known.items() if f.default is MISSING and f.default_factory is MISSING
    ]
    if missing := sorted(set(required) - set(values)):
        raise ValueError(f"the key {prefix + missing[0]!r} is missing")
    return kind(**typed)


def value_of(kind: Any, value: Any, name: str) -> Any:
    """A value of a type, from Python, TOML or JSON.

    Raises:
      ValueError: another type, or a number that is not finite.
    """
    if type(value) is kind and kind in (bool, int, str):  # a shortcut for long tables
        return _text(value, name) if kind is str else value
    kinds = get_args(kind) if isinstance(kind, UnionType) else (kind,)
    if value is None and NoneType in kinds:
        return None
    kind = next(one for one in kinds if one is not NoneType)
    plain = get_origin(kind) or kind
    if is_dataclass(plain):
        return _dataclass_of(plain, value, name)
    if plain is tuple and isinstance(value, list | tuple):
        inner = get_args(kind)[0]
        return tuple(value_of(inner, one, name) for one in value)
    if plain is float and isinstance(value, numbers.Real) and not isinstance(value, bool):
        return _finite(value, name)
    if plain is int and is_whole(value):
        return int(value)
    if plain is str and isinstance(value, str):
        return _text(value, name)
    if plain in (bool, dict) and isinstance(value, plain):
        return value
    wanted = _NAMES.get(plain, plain.__name__)
    raise ValueError(f"{name} is {_shown(value)}, it must be of type {wanted}")


def is_whole(value: Any) -> bool:
    """Whether a value is a whole number, such as 3, or the 3.0 that pandas makes of it.

    A float that is so large that digits are lost is none.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return False
    if isinstance(value, numbers.Integral):
        return True
    return abs(value) < EXACT and float(value).is_integer()


_NAMES = {tuple: "list", dict: "table", int: "int, a whole number"}


def parsed(kind: Any, text: str, name: str) -> Any:
    """A value of a type, from a text as in CSV, or on the command line.

    Values of a list are separated by spaces; a value with a space is quoted, as in a shell.

    Raises:
      ValueError: as `value_of`.
    """
    kinds = get_args(kind) if isinstance(kind, UnionType) else (kind,)
    kind = next(one for one in kinds if one is not NoneType)
    plain = get_origin(kind) or kind
    if plain is tuple:
        try:
            words = shlex.split(text)
        except ValueError as error:
            raise ValueError(f"{name} {_shown(text)} has a quote too few: {error}") from None
        return tuple(parsed(get_args(kind)[0], word, name) for word in words)
    if plain in (int, float):
        try:
            whole = plain is int and re.fullmatch(r"\s*[+-]?[0-9]+\s*", text)
            number = int(text) if whole else float(text)
            return value_of(kind, number, name)
        except (ValueError, OverflowError):
            raise ValueError(f"{name} {_shown(text)} is not a finite {plain.__name__}") from None
    if plain is bool:
        if text.lower() not in _BOOLEANS:
            raise ValueError(f"{name} {_shown(text)} is not one of {', '.join(_BOOLEANS)}")
        return _BOOLEANS[text.lower()]
    return value_of(kind, text, name)


_BOOLEANS = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}


def _dataclass_of(kind: Any, value: Any, name: str) -> Any:
    if isinstance(value, kind):
        value = {f.name: getattr(value, f.name) for f in fields(kind)}
    if isinstance(value, str) and hasattr(kind, "parse"):
        return kind.parse(_text(value, name))
    if isinstance(value, Mapping):
        return built(kind, value, f"{name}.")
    raise ValueError(f"{name} is {_shown(value)}, it must be of type table")


def _text(value: str, name: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{name} {_shown(value)} is not valid UTF-8 text") from None
    if len(value) > LONGEST_TEXT:
        raise ValueError(f"{name} has {len(value)} characters, at most {LONGEST_TEXT} are read")
    return value


def _finite(value: numbers.Real, name: str) -> float:
    try:
        number = float(value)
    except OverflowError:  # a whole number of more than 309 digits
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"{name} {number} is not a finite number")
    return number


def _shown(value: Any) -> str:
    return printable(repr(value), _SHOWN)


def _override(text: str) -> dict[str, Any]:
    """The table of `lora.rank=4`; in `output=runs/a` the bare word is a string."""
    try:
        return toml_of(text, f"override {text!r}")
    except ValueError:
        key, _, value = text.partition("=")
        if '"' in value or "\n" in value:
            raise
        word = value.strip().replace("\\", "\\\\")
        return toml_of(f'{key} = "{word}"', f"override {text!r}")


def _merged(values: dict[str, Any], others: dict[str, Any]) -> dict[str, Any]:
    """Tables within tables are merged, everything else is replaced."""
    result = dict(values)
    for name, value in others.items():
        both = isinstance(value, dict) and isinstance(result.get(name), dict)
        result[name] = _merged(result[name], value) if both else value
    return result
