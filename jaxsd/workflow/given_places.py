"""Folders and names that a user gives: `extra_model_paths.yaml`, NAME=SOURCE."""

from collections.abc import Iterable
from pathlib import Path

import yaml

from jaxsd.terminal import printable
from jaxsd.text_files import read_text
from jaxsd.workflow.workspace import FOLDERS

_LONGEST, _MOST_BRACKETS = 2**16, 100
"""Of a file's characters; files that people have are some 2,000, without brackets."""
_KINDS = {name: kind for kind, names in FOLDERS.items() for name in names}


def read_extra_paths(file: str | Path) -> dict[str, list[Path]]:
    """The folders of an `extra_model_paths.yaml`, by kind. Kinds that are not known are left out.

    Raises:
      ValueError: not such a file.
      OSError: no such file.
    """
    path = Path(file)
    text = read_text(path)
    if len(text) > _LONGEST or text.count("{") + text.count("[") > _MOST_BRACKETS:
        raise ValueError(
            f"{path} is no list of folders: it has more than {_LONGEST} characters, or "
            f"{_MOST_BRACKETS} brackets"
        )
    try:
        table = yaml.safe_load(text) or {}
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        line = " ".join(str(error).split())
        raise ValueError(f"{path} is not YAML: {printable(line, 200)}") from None
    if not isinstance(table, dict):
        raise ValueError(f"{path} is no table of programs and their folders")
    found: dict[str, list[Path]] = {}
    for own in table.values():
        if not isinstance(own, dict):
            raise ValueError(f"{path}: each program is a table with base_path and folders")
        known = {name: own[name] for name in own if name == "base_path" or name in _KINDS}
        known = {name: places for name, places in known.items() if places is not None}
        for name, places in known.items():
            if not isinstance(places, str):
                raise ValueError(f"{path}: {name} is {printable(repr(places), 60)}, not a folder")
        base = path.parent / Path(known.pop("base_path", ".")).expanduser()
        for name, places in known.items():
            found.setdefault(_KINDS[name], []).extend(base / one for one in _lines(places))
    return found


def named_by(texts: Iterable[str]) -> dict[str, str]:
    """NAME=SOURCE as a mapping.

    Raises:
      ValueError: another form.
    """
    named = {}
    for text in texts:
        name, equals, source = text.partition("=")
        if not equals or not name or not source:
            raise ValueError(f"--map {printable(text, 80)!r} is not NAME=FILE")
        named[name.replace("\\", "/")] = source
    return named


def _lines(places: str) -> list[str]:
    return [line.strip() for line in places.split("\n") if line.strip()]
