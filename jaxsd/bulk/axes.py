"""Rows from axes: one for each combination of values, and prompts that a template makes of them."""

import itertools
import math
import re
import string
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jaxsd.terminal import printable
from jaxsd.text_files import LONGEST_TEXT, lines_in
from jaxsd.typed import is_whole

MANY = 10**7
"""Rows of a run at most: each takes a kilobyte in the memory of every host."""


def product(template: str, axes: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The rows of some axes, the last axis fastest.

    Args:
      template: of the prompt; its `{names}` are those of axes, which then are no columns.
      axes: as in `BulkConfig`.

    Raises:
      ValueError: axes that are none, do not fit the template, or make too many rows.
      FileNotFoundError: no such file of an axis.
    """
    words = _words(template)
    sizes = {name: _size(name, given) for name, given in axes.items()}
    if missing := sorted(set(words) - set(axes)):
        raise ValueError(f"the prompt {template!r} has {{{missing[0]}}}, and axes do not")
    if math.prod(sizes.values()) > MANY:
        each = " x ".join(map(str, sizes.values()))
        raise ValueError(f"axes make {each} rows, at most {MANY} are possible; make several runs")
    values = {name: _values(name, given, name in words) for name, given in axes.items()}
    _check_length(template, words, values)
    return _rows(template, words, values)


def _check_length(template: str, words: Counter[str], values: Mapping[str, Sequence[Any]]) -> None:
    longest = {name: max(len(str(value)) for value in values[name]) for name in words}
    length = len(template) + sum(words[name] * longest[name] for name in words)
    if length > LONGEST_TEXT:
        raise ValueError(
            f"the prompt {printable(template, 100)!r} has up to {length} characters with these "
            f"axes; at most {LONGEST_TEXT} are possible"
        )


def _rows(
    template: str, words: Counter[str], values: Mapping[str, Sequence[Any]]
) -> Iterator[dict[str, Any]]:
    for chosen in itertools.product(*values.values()):
        row = dict(zip(values, chosen, strict=True))
        filled = template.format(**row).strip() if template else row.pop("prompt", "")
        yield {k: v for k, v in row.items() if k not in words} | {"prompt": filled}


def _words(template: str) -> Counter[str]:
    """How often each name is in a template: names alone, as `{x.y}`, `{x!r}`, `{x:9}` mean more."""
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        raise ValueError(f"the prompt {template!r} is no template: {error}") from None
    fields = [part[1:] for part in parts if part[1] is not None]
    for name, form, conversion in fields:
        if not re.fullmatch(r"[^\W\d][\w-]*", name) or form or conversion:
            raise ValueError(
                f"the prompt {template!r} has more in braces than the name of an axis, at "
                f"{{{name}...}}; write {{{{ and }}}} for braces"
            )
    return Counter(name for name, _, _ in fields)


def _size(name: str, given: Any) -> int:
    """How many values an axis has."""
    if isinstance(given, list) and given:
        return len(given)
    if isinstance(given, dict) and set(given) == {"first", "count"}:
        whole = all(map(is_whole, given.values()))
        if whole and given["count"] > 0:
            return int(given["count"])
    if isinstance(given, dict) and set(given) == {"file"} and isinstance(given["file"], str):
        count = sum(1 for _ in lines_in(given["file"]))
        if not count:
            raise ValueError(f"axis {name!r}: {given['file']} has no lines")
        return count
    raise ValueError(
        f"axis {name!r} is {given!r}; give a list, {{first = 0, count = 10}}, or a file of lines"
    )


def _values(name: str, given: Any, fills: bool) -> list[Any]:
    """The values of an axis; those that fill a template are texts or numbers."""
    if isinstance(given, dict) and "file" in given:
        return [line.strip() for _, line in lines_in(given["file"])]
    if isinstance(given, dict):
        first = int(given["first"])
        return list(range(first, first + int(given["count"])))
    for one in given if fills else ():
        if isinstance(one, bool) or not isinstance(one, str | int | float):
            raise ValueError(f"axis {name!r} has {one!r}, which is no text or number for a prompt")
    return given
