"""Which pictures a folder has, and their captions: from a table, or from texts beside them.

A table is the Hub's metadata.jsonl or metadata.csv. Texts beside pictures are kohya's: 0.txt or
0.caption for 0.png, or 0.png.txt; each line is a caption.
"""

import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from os.path import isfile
from pathlib import Path
from typing import Any, NamedTuple

from jaxsd.images import ENDINGS
from jaxsd.text_files import lines_in, read_csv, read_jsonl
from jaxsd.typed import value_of

OTHER_PICTURES = (".avif", ".heic", ".heif", ".jp2", ".jxl", ".psd", ".svg", ".tga")
MASKS = ("-masklabel", "-condlabel")
"""How the names of OneTrainer's masks and conditions end, which lie beside its pictures."""
TABLES = ("metadata.jsonl", "metadata.csv", "metadata.parquet")
OTHER_TABLES = (".jsonl", ".csv", ".tsv", ".json", ".parquet")
FILE = ("file_name", "filename", "file", "image", "image_path", "path")
TEXT = ("text", "caption", "prompt")
TEXTS = ("texts", "captions")
REJECTED = "rejected_file_name"
CONDITION = ("conditioning_image_file_name", "conditioning_image", REJECTED)
TEMPLATE = ("template",)
"""Columns of a table, by what they are; of several that are the same, the first counts."""
BESIDE = (".txt", ".caption")
SHOWN = 8
"""Names that a message lists."""


class Listed(NamedTuple):
    """A picture of a folder, before anything of it is read."""

    name: str  # path in the folder
    texts: tuple[str, ...] = ()  # its own captions
    condition: str | None = None  # path of the image for a ControlNet, or of the rejected one
    template: str = ""


def pictures_in(folder: Path) -> list[Listed]:
    """The pictures of a folder: the rows of its table, or else all that lie in it.

    What is not used, such as columns with other names, is named in a warning.

    Raises:
      FileNotFoundError: no such folder, or a picture of the table that is not there.
      ValueError: no pictures, or a table or a text that can not be read.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"no data folder {folder}")
    files = [file for file in sorted(folder.iterdir()) if not file.name.startswith(".")]
    there = [
        file.name
        for file in files
        if file.suffix.lower() in ENDINGS and not file.stem.endswith(MASKS)
    ]
    table = _table_of(folder)
    found = list(_rows(table)) if table else list(map(Listed, there))
    if not found:
        below = [file.name for file in files if file.is_dir()]
        hint = f"; folders in it are not read: {_shown(below)}" if below else ""
        endings = ", ".join(ENDINGS)
        raise ValueError(f"no pictures in {table or folder}; give a folder of {endings}{hint}")
    _say_unused_files(folder, files, table, found)
    return _with_texts_beside(folder, found)


def captions_of(row: Mapping[str, Any], where: object) -> tuple[str, ...]:
    """The captions that a table's row or a record's header has, none if it has no such column.

    Raises:
      ValueError: one is not a text.
    """
    one, several = _column(row, TEXT), _column(row, TEXTS)
    texts = () if one is None else (_value(str, row, one, where),)
    return texts if several is None else texts + _value(tuple[str, ...], row, several, where)


def check_captions(place: object, texts: Sequence[Iterable[str]], uncaptioned: bool) -> None:
    """Refuses pictures of which less than half have a caption, unless a run says so.

    Raises:
      ValueError: less than half have one.
    """
    having = sum(any(map(str.strip, own)) for own in texts)
    if 2 * having < len(texts) and not uncaptioned:
        raise ValueError(
            f"{having} of {len(texts)} pictures in {place} have a caption; give them in "
            f"{' or '.join(TABLES[:2])} as column {' or '.join(TEXT)}, or in 0.txt for 0.png; or "
            "set caption (prior_caption), or uncaptioned=true to train without"
        )


def _table_of(folder: Path) -> Path | None:
    tables = [folder / name for name in TABLES if (folder / name).is_file()]
    if len(tables) > 1:
        raise ValueError(f"{folder} has {' and '.join(t.name for t in tables)}; remove one")
    if tables and tables[0].suffix == ".parquet":
        raise ValueError(f"{tables[0]} is not read; write it as metadata.jsonl or metadata.csv")
    return tables[0] if tables else None


def _rows(table: Path) -> Iterator[Listed]:
    unused: set[str] = set()
    for number, row in read_jsonl(table) if table.suffix == ".jsonl" else _csv_rows(table):
        where = f"{table} line {number}"
        used = [_column(row, names) for names in (FILE, TEXT, TEXTS, CONDITION, TEMPLATE)]
        file, _, _, condition, template = used
        if file is None:
            raise ValueError(f"{where} has no file_name; it has {', '.join(row) or 'nothing'}")
        yield Listed(
            _file(table.parent, row, file, where),
            captions_of(row, where),
            None if condition is None else _file(table.parent, row, condition, where),
            "" if template is None else _value(str, row, template, where),
        )
        unused |= row.keys() - set(used)
    _say_unused(table, "columns", unused)


def _csv_rows(table: Path) -> Iterator[tuple[int, dict[str, str]]]:
    for number, row in read_csv(table):
        if isinstance(row, str):
            raise ValueError(f"{table} line {number}: {row}")
        yield number, {name: value for name, value in row.items() if value}


def _file(folder: Path, row: Mapping[str, Any], column: str, where: str) -> str:
    name = _value(str, row, column, where)
    if not isfile(folder / name):  # also where no file can have such a name
        raise FileNotFoundError(f"{where} names {name}, which is not there")
    return name


def _column(row: Mapping[str, Any], names: Sequence[str]) -> str | None:
    return next((name for name in names if name in row), None)


def _value(kind: Any, row: Mapping[str, Any], column: str, where: object) -> Any:
    try:
        return value_of(kind, row[column], column)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def _with_texts_beside(folder: Path, found: Sequence[Listed]) -> list[Listed]:
    rows, unused = [], set()
    for row in found:
        several = _texts_beside(folder / row.name)
        if several and not row.texts:
            first = several.pop(0)
            lines = [line.strip() for _, line in lines_in(first)]
            row = row._replace(texts=value_of(tuple[str, ...], lines, f"{first}: a caption"))
        unused |= {path.name for path in several}
        rows.append(row)
    _say_unused(folder, "texts beside pictures that have captions", unused)
    return rows


def _texts_beside(picture: Path) -> list[Path]:
    names = [picture.with_suffix(ending) for ending in BESIDE]
    names += [picture.with_name(picture.name + ending) for ending in BESIDE]
    return [path for path in names if path.is_file()]


def _say_unused_files(
    folder: Path, files: Sequence[Path], table: Path | None, found: Sequence[Listed]
) -> None:
    """Names the tables, pictures and texts of a folder that no picture of the run has."""
    named = {Path(name).as_posix() for row in found for name in (row.name, row.condition or "")}
    owners = named | {Path(row.name).with_suffix("").as_posix() for row in found}
    used = {file.name for file in files if file.suffix in BESIDE and file.stem in owners} | named
    pictures = f"pictures that {table.name} does not name" if table else "masks, and other pictures"
    for what, endings in (
        ("tables with other names", OTHER_TABLES),
        (pictures, (*ENDINGS, *OTHER_PICTURES)),
        ("texts that no picture has", BESIDE),
    ):
        of_kind = {file.name for file in files if file.suffix.lower() in endings and file != table}
        _say_unused(folder, what, of_kind - used)


def _say_unused(place: Path, what: str, names: set[str]) -> None:
    if names:
        # At this line, so that a folder that is read twice is told about once.
        warnings.warn(f"{place}: {what} are not used: {_shown(names)}", stacklevel=1)


def _shown(names: Collection[str]) -> str:
    shown = ", ".join(sorted(names)[:SHOWN])
    return shown if len(names) <= SHOWN else f"{shown}, ... ({len(names)} in all)"
