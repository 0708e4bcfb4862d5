"""Rows as people write them: JSONL, CSV, Parquet, lines of text, or axes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jaxsd.bulk.axes import product
from jaxsd.bulk.config import BulkConfig
from jaxsd.text_files import lines_in, read_csv, table_of

Record = tuple[int, dict[str, Any] | str]
"""(line, from 1; its values by column, or what is wrong with it)."""
_INDEX = "__index_level_0__"
"""A column that pandas makes of an index."""


def records(config: BulkConfig) -> Iterator[Record]:
    """The rows of a run's file, or of its axes.

    Raises:
      ValueError: a file that is none of these, or axes that do not fit the template.
      FileNotFoundError: no such file.
    """
    if config.axes:
        return enumerate(product(config.prompt, config.axes), 1)
    path = Path(config.rows)
    ending = path.suffix.lower()
    if ending not in READERS:
        raise ValueError(f"rows {path} is not one of {', '.join(READERS)}")
    if not path.is_file():
        raise FileNotFoundError(f"no rows at {path}")
    return READERS[ending](path)


def _jsonl(path: Path) -> Iterator[Record]:
    for number, line in lines_in(path):
        try:
            yield number, table_of(line, "the line")
        except ValueError as error:
            yield number, str(error)


def _csv(path: Path) -> Iterator[Record]:
    for number, row in read_csv(path):
        filled = row if isinstance(row, str) else {name: one for name, one in row.items() if one}
        yield number, filled


def _parquet(path: Path) -> Iterator[Record]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise ValueError(f"reading {path} needs pyarrow: pip install 'jaxsd[bulk]'") from None
    try:
        batches = parquet.ParquetFile(path).iter_batches()
        rows = (row for batch in batches for row in batch.to_pylist())
        for number, row in enumerate(rows, 1):
            yield number, {name: one for name, one in row.items() if name != _INDEX}
    except (pyarrow.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{path} can not be read as Parquet: {reason}") from None


def _text(path: Path) -> Iterator[Record]:
    for number, line in lines_in(path):
        prompt = line.strip()
        if prompt.startswith("--"):  # webui's prompts from a file
            yield number, f"{prompt[:40]!r} has options, which need a table: .jsonl or .csv"
        else:
            yield number, {"prompt": prompt}


READERS = {".jsonl": _jsonl, ".csv": _csv, ".parquet": _parquet, ".txt": _text}
