"""A `ModelSpec` as JSON, which single files written here carry in their metadata."""

import json
from dataclasses import asdict, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from jaxsd.config import ModelSpec
from jaxsd.terminal import printable
from jaxsd.text_files import table_of

KEY = "jaxsd.spec"
_LARGEST = 1e30


def to_json(spec: ModelSpec) -> str:
    """The spec as one line."""
    return json.dumps(asdict(spec), separators=(",", ":"))


def from_json(text: str) -> ModelSpec:
    """The spec from a text of `to_json`.

    Raises:
      ValueError: if the text is not that of a spec.
    """
    table = table_of(text, f"its metadata {KEY}")
    try:
        return _build(ModelSpec, table, "spec")
    except ValueError as error:
        raise ValueError(printable(str(error))) from error


def _build(kind: Any, value: Any, where: str) -> Any:
    """`value` as an instance of the annotation `kind`; a table for a dataclass, a list for a
    tuple.
    """
    options = get_args(kind)
    if get_origin(kind) in (UnionType, None) and isinstance(kind, UnionType):
        if value is None and NoneType in options:
            return None
        return _build(next(option for option in options if option is not NoneType), value, where)
    if is_dataclass(kind) and isinstance(value, dict):
        return _build_table(kind, value, where)
    if get_origin(kind) is tuple and isinstance(value, list):
        return tuple(_build(options[0], item, where) for item in value)
    if get_origin(kind) is Literal and value in options:
        return value
    if kind is float and type(value) in (int, float) and abs(value) < _LARGEST:
        return float(value)
    if kind in (int, str, bool) and type(value) is kind:
        return value
    raise ValueError(f"{KEY}: {where} = {value!r} is not known")


def _build_table(kind: type, table: dict[str, Any], where: str) -> Any:
    hints = get_type_hints(kind)
    unknown = table.keys() - {field.name for field in fields(kind)}
    if unknown:
        raise ValueError(f"{KEY}: {where} has unknown settings {', '.join(sorted(unknown))}")
    values = {name: _build(hints[name], value, f"{where}.{name}") for name, value in table.items()}
    try:
        return kind(**values)
    except TypeError as error:
        raise ValueError(f"{KEY}: {where} is incomplete") from error
    except ValueError as error:
        raise ValueError(f"{KEY}: {where}: {error}") from error
