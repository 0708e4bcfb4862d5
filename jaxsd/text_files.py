"""Text files that people bring, read in one way: lines, tables, JSON, TOML.

Text is UTF-8, with or without a byte-order mark. Lines end at a line feed alone, or at one after a
carriage return: not at the other characters that `str.splitlines` knows. Every function raises
`ValueError` in one line that begins with the file, or with `where`, a name that the caller gives.
"""

import csv
import json
import math
import os
import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

DEEPEST = 100
"""Lists and tables within each other; no file of this field comes near it."""
_PART = r"""[ \t]*+(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\."""
MOST_PARTS = 20
"""Of a key `a.b.c` of TOML, where each part is a table; `tomllib` takes long for more."""
_LONG_KEY = re.compile(rf"(?:^|[\[{{,])(?:{_PART}){{{MOST_PARTS}}}", re.MULTILINE)
LONGEST_NUMBER = 400
"""Digits of a number; the largest float64 has 309."""
_INDEX = "Unnamed: 0"
"""What pandas calls the index of a table that it wrote and read again."""
POINTER = b"version https://git-lfs"
"""How a file begins that git-lfs left in place of another, which is fetched later."""
LONGEST_TEXT = 100_000
"""Characters of a prompt or another text in a table; a network sees some 300 of a prompt."""
LONGEST_TOML = 2**19
"""Characters of a TOML text, which `tomllib` reads in two seconds."""
BYTE_ORDER_MARK = "\ufeff"
_DEEP = f"has more than {DEEPEST} lists or tables within each other"


def decoded(packed: bytes, where: object) -> str:
    """The text of UTF-8 bytes.

    Raises:
      ValueError: another encoding.
    """
    try:
        return packed.decode()
    except UnicodeDecodeError as error:
        byte = packed[error.start]
        raise ValueError(
            f"{where} is not UTF-8 text: byte 0x{byte:02x} at {error.start}; save it as UTF-8"
        ) from None


def pointer_line(path: object) -> str:
    """What to say of a file that is a pointer of git-lfs."""
    return f"{path} is a git-lfs pointer, not the file itself; fetch it with `git lfs pull`"


def bytes_in(path: str | Path) -> bytes:
    """The bytes of a file; or of a pipe, none where nobody writes, instead of waiting for them.

    Raises:
      OSError: it can not be read.
    """
    with open(path, "rb", opener=_at_once) as file:
        return file.read()


def _at_once(path: str, flags: int) -> int:
    """Opens a file; a pipe too though nobody writes to it."""
    descriptor = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    os.set_blocking(descriptor, True)
    return descriptor


def read_text(path: str | Path) -> str:
    """The text of a file, without its byte-order mark.

    Raises:
      ValueError: it is not UTF-8.
      OSError: it can not be read.
    """
    return decoded(bytes_in(path), path).removeprefix(BYTE_ORDER_MARK)


def lines_in(path: str | Path) -> Iterator[tuple[int, str]]:
    """(number from 1, line without its end) of a file; lines of blanks alone are left out.

    Raises:
      ValueError: it is not UTF-8.
      OSError: it can not be read.
    """
    for number, line in _whole_lines(path):
        if line.strip():
            yield number, line.removesuffix("\n").removesuffix("\r")


def _whole_lines(path: str | Path) -> Iterator[tuple[int, str]]:
    """(number from 1, line with its end) of a file, without its byte-order mark."""
    with open(path, "rb", opener=_at_once) as file:
        for number, packed in enumerate(file, 1):
            if packed.startswith(POINTER):
                raise ValueError(pointer_line(path))
            line = decoded(packed, f"{path} line {number}")
            yield number, line.removeprefix(BYTE_ORDER_MARK) if number == 1 else line


def json_of(text: str, where: object, *, finite: bool = True) -> Any:
    """The value of a JSON text.

    Args:
      finite: False to take NaN and Infinity, which ComfyUI writes and JSON does not have.

    Raises:
      ValueError: it is not JSON, has a key twice, a number that is not finite, text that is not
        Unicode, or more than `DEEPEST` lists within each other.
    """
    value = _parsed((_FINITE if finite else _ANY).decode, text, where, "JSON")
    if "\\u" in text:  # the only way to write half of a surrogate pair
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise ValueError(f"{where} has text that is not Unicode: half a surrogate") from None
    return value


def table_of(text: str, where: object, *, finite: bool = True) -> dict[str, Any]:
    """The table (object) that is a JSON text.

    Raises:
      ValueError: as `json_of`, or it is a list, a number, ...
    """
    value = json_of(text, where, finite=finite)
    if not isinstance(value, dict):
        raise ValueError(f"{where} is not a table of names and values, as in {{...}}")
    return value


def read_json(path: str | Path) -> dict[str, Any]:
    """The table in a JSON file.

    Raises:
      ValueError: it is not UTF-8, or as `table_of`.
      OSError: it can not be read.
    """
    return table_of(read_text(path), path)


def read_jsonl(path: str | Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(number from 1, table) of each line of a JSONL file.

    Raises:
      ValueError: it is not UTF-8, or as `table_of`, with the number of the line.
      OSError: it can not be read.
    """
    for number, line in lines_in(path):
        yield number, table_of(line, f"{path} line {number}")


def read_csv(path: str | Path) -> Iterator[tuple[int, dict[str, str] | str]]:
    """(number of its last line, fields by column, or what is wrong with them) of each CSV row.

    A first column that pandas makes of an index, without a name or with one of its own, is left out
    if it has numbers.

    Raises:
      ValueError: it is not UTF-8, not CSV with commas, or two columns have the same name.
      OSError: it can not be read.
    """
    reader = csv.reader((line for _, line in _whole_lines(path)), strict=True)
    try:
        columns = [name.strip() for name in next(reader, [])]
        if len(columns) == 1 and (other := re.search(r"[;\t]", columns[0])):
            raise ValueError(f"{path} line 1 has {other[0]!r} between names; save it with commas")
        if columns and columns[0] == _INDEX:
            columns[0] = ""
        if len(set(columns)) != len(columns):
            raise ValueError(f"{path} line 1 has the column {_twice(columns)!r} twice")
        for fields in filter(None, reader):
            row = dict(zip(columns, fields, strict=False))
            if len(fields) != len(columns):
                yield reader.line_num, f"{len(fields)} fields, the first line has {len(columns)}"
            elif not row.pop("", "0").isdigit():
                yield reader.line_num, "a value in a column without a name"
            else:
                yield reader.line_num, row
    except csv.Error as error:
        reason = "a line ends at a carriage return alone" if "new-line" in str(error) else error
        raise ValueError(f"{path} line {reader.line_num} is not CSV: {reason}") from None


def toml_of(text: str, where: object) -> dict[str, Any]:
    """The table of a TOML text.

    Raises:
      ValueError: it is not TOML, is longer than `LONGEST_TOML`, has a key of more than `MOST_PARTS`
        parts, or more than `DEEPEST` lists within each other.
    """
    if len(text) > LONGEST_TOML:
        raise ValueError(
            f"{where} has {len(text)} characters, and a TOML file has at most {LONGEST_TOML}; "
            "put what is long into a table beside it (.csv, .jsonl)"
        )
    if _LONG_KEY.search(text):
        raise ValueError(f"{where} has a key of more than {MOST_PARTS} parts, a.b.c")
    return _parsed(tomllib.loads, text, where, "TOML")


def _parsed(parse: Callable[[str], Any], text: str, where: object, name: str) -> Any:
    try:
        value = parse(text)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno} " * ("\n" in text) + f"column {error.colno}"
        raise ValueError(f"{where} is not {name}: {error.msg} at {place}") from None
    except ValueError as error:
        # What Python says of a whole number of more than 4,300 digits is of no use here.
        why = "a number has too many digits" if "int_max_str_digits" in str(error) else error
        raise ValueError(f"{where} is not {name}: {why}") from None
    except RecursionError:
        value = None
    else:
        if not _is_deep(value):
            return value
    raise ValueError(f"{where} {_DEEP}")


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(DEEPEST):
        if not level:
            return False
        tables = [one.values() if isinstance(one, dict) else one for one in level if _holds(one)]
        level = [inner for one in tables for inner in one]
    return any(map(_holds, level))


def _holds(value: Any) -> bool:
    return isinstance(value, dict | list)


def _table(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError(f"the key {_twice(name for name, _ in pairs)!r} is there twice")
    return table


def _twice(names: Iterable[str]) -> str:
    """The name that is there most often."""
    return Counter(names).most_common(1)[0][0]


def _whole(text: str) -> int:
    if len(text) > LONGEST_NUMBER:
        raise ValueError(f"a number of {len(text)} digits")
    return int(text)


def _finite(text: str) -> float:
    value = float(text.replace("Infinity", "inf"))
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]} is not a finite number")
    return value


_ANY = json.JSONDecoder(parse_int=_whole, object_pairs_hook=_table)
_FINITE = json.JSONDecoder(
    parse_int=_whole, object_pairs_hook=_table, parse_float=_finite, parse_constant=_finite
)
