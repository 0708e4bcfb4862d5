"""What a video was made from, as a TOML file that makes it again."""

import json
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import jaxsd
from jaxsd.video.plan import Plan
from jaxsd.video.source import source_hash


def recipe_of(plan: Plan, model_hash: str) -> str:
    """The TOML of a video: what differs from the defaults, and of which files it was made."""
    config = replace(plan.config, output=Path(plan.config.output).name)  # the same in any folder
    lines = [f"# jaxsd {jaxsd.__version__}", f"# model {model_hash}"]
    if plan.sound:
        lines.append(f"# sound {plan.sound.sha256}")
    if plan.source:
        lines.append(f"# clip {source_hash(plan.source)}")
    tables = {"key": config.key, "drive": config.drive}
    for one in fields(config):
        value = getattr(config, one.name)
        if one.name not in tables and value != one.default and value is not None:
            lines.append(f"{one.name} = {_toml(value)}")
    for name, several in tables.items():
        for table in several:
            lines += ["", f"[[{name}]]"]
            said = table if isinstance(table, Mapping) else _stated(table)
            lines += [f"{key} = {_toml(value)}" for key, value in said.items()]
    return "\n".join(lines) + "\n"


def _stated(table: Any) -> dict[str, Any]:
    """The fields of a dataclass that are not the defaults."""
    each = {one.name: (getattr(table, one.name), one.default) for one in fields(table)}
    return {name: value for name, (value, default) in each.items() if value != default}


def _toml(value: Any) -> str:
    """A value in TOML's syntax, which is that of JSON but for tables."""
    if isinstance(value, Mapping):
        inner = ", ".join(f"{json.dumps(key)} = {_toml(one)}" for key, one in value.items())
        return f"{{{inner}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if not isinstance(value, bool | int | float | str):
        value = str(value)
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
