"""Rows as people write them: JSONL, CSV, Parquet, lines of text, or axes."""

import csv
import itertools
import json
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jaxsd.bulk.config import BulkConfig

Record = tuple[int, dict[str, Any] | str]
"""(line, from 1; its values by column, or what is wrong with it)."""


def records(config: BulkConfig) -> Iterator[Record]:
    """The rows of a run's file, or of its axes.

    Raises:
      ValueError: a file that is none of these, or axes that do not fit the template.
      FileNotFoundError: no such file.
    """
    if config.axes:
        return _product(config.prompt, config.axes)
    path = Path(config.rows)
    if path.suffix not in READERS:
        raise ValueError(f"rows {path} is not one of {', '.join(READERS)}")
    if not path.is_file():
        raise FileNotFoundError(f"no rows at {path}")
    return READERS[path.suffix](path)


def _jsonl(path: Path) -> Iterator[Record]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                values = json.loads(line)
            except ValueError as error:
                values = f"not JSON: {error}"
            if not isinstance(values, dict | str):
                values = f"not an object: {line.decode().strip()}"
            yield number, values


def _csv(path: Path) -> Iterator[Record]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        for values in reader:
            if None in values:
                yield reader.line_num, "more fields than the first line has columns"
            else:
                yield reader.line_num, {name: value for name, value in values.items() if value}


def _parquet(path: Path) -> Iterator[Record]:
    try:
        from pyarrow import parquet
    except ImportError:
        raise ValueError(f"reading {path} needs pyarrow: pip install 'jaxsd[bulk]'") from None
    batches = parquet.ParquetFile(path).iter_batches()
    yield from enumerate((row for batch in batches for row in batch.to_pylist()), 1)


def _text(path: Path) -> Iterator[Record]:
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield number, {"prompt": line.strip()}


READERS = {".jsonl": _jsonl, ".csv": _csv, ".parquet": _parquet, ".txt": _text}


def _product(template: str, axes: dict[str, Any]) -> Iterator[Record]:
    """A row for each combination of values, the last axis fastest."""
    values = {name: _values(name, given) for name, given in axes.items()}
    words = {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}
    if missing := sorted(words - set(values)):
        raise ValueError(f"the prompt {template!r} has {{{missing[0]}}}, and axes do not")
    for number, chosen in enumerate(itertools.product(*values.values()), 1):
        row = dict(zip(values, chosen, strict=True))
        filled = template.format(**row).strip() if template else row.pop("prompt", "")
        yield number, {k: v for k, v in row.items() if k not in words} | {"prompt": filled}


def _values(name: str, given: Any) -> list[Any]:
    if isinstance(given, list) and given:
        return given
    if isinstance(given, dict) and set(given) == {"first", "count"}:
        return list(range(given["first"], given["first"] + given["count"]))
    if isinstance(given, dict) and set(given) == {"file"}:
        return [values["prompt"] for _, values in _text(Path(given["file"]))]
    raise ValueError(
        f"axis {name!r} is {given!r}; give a list, {{first = 0, count = 10}}, or a file of lines"
    )
