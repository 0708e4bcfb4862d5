"""Where the files lie in a tar file that anybody may have made, such as a shard of WebDataset.

The standard library's `tarfile` takes ten minutes for some headers of a megabyte, calls itself for
each header that belongs to another, and fills the holes of sparse files with memory.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from jaxsd.terminal import printable

_BLOCK = 512
_LONGEST = 2**16
"""Bytes of a name, or of a table of pax, at most."""
_FILES, _WITHOUT_CONTENT = (b"0", b"\0", b"7"), (b"1", b"2", b"3", b"4", b"5", b"6")
_LENGTH = re.compile(rb"[1-9][0-9]{0,8} ")
_OCTAL = re.compile(rb"[ \0]*([0-7]*)[ \0]*")


class Member(NamedTuple):
    """A file in a tar file: `size` bytes from `start` on."""

    name: str
    start: int
    size: int


def members_of(path: Path) -> list[Member]:
    """The files in a tar file, in their order; folders and links are left out.

    Names and sizes are those of ustar, of GNU's long names or of pax.

    Raises:
      ValueError: one line: damaged, cut, or with a sparse file.
      OSError: the system can not read it.
    """
    end = path.stat().st_size
    with path.open("rb") as file:
        try:
            return list(_members(file, end))
        except ValueError as error:
            raise ValueError(f"{path} is no whole tar file: {error}") from None


def content_of(path: Path, member: Member) -> bytes:
    """The bytes of a file in a tar file."""
    with path.open("rb") as file:
        file.seek(member.start)
        return file.read(member.size)


def _members(file: BinaryIO, end: int) -> Iterator[Member]:
    place, said = 0, dict[str, str]()
    while True:
        file.seek(place)
        head = file.read(_BLOCK)
        if not end:
            raise ValueError("it is empty")
        if not head.strip(b"\0"):  # the end, or where the file ends
            return
        name, size = _name_of(head, place), _number(head[124:136], place)
        kind, start = head[156:157], place + _BLOCK
        if kind in _FILES and "size" in said:
            size = _decimal(said["size"], place)
        if kind in _WITHOUT_CONTENT:
            size = 0
        if size > end - start:
            raise ValueError(f"{printable(said.get('path', name))} is beyond its end")
        if kind == b"L":
            said["path"] = _text(file.read(_bounded(size, place)).split(b"\0")[0])
        elif kind == b"x":
            said |= _pax(file.read(_bounded(size, place)), place)
        elif kind not in (b"K", b"g"):
            name = said.get("path", name)
            if kind == b"S" or any(key.startswith("GNU.sparse.") for key in said):
                raise ValueError(f"{printable(name)} is a sparse file, which is not read")
            if kind in _FILES and not name.endswith("/"):
                yield Member(name, start, size)
            said = {}
        place = start + -(-size // _BLOCK) * _BLOCK


def _name_of(head: bytes, place: int) -> str:
    """The name in a header, whose sum is looked at."""
    told = _OCTAL.fullmatch(head[148:156])
    if (
        len(head) < _BLOCK
        or not told
        or int(told[1] or b"0", 8) != (sum(head[:148]) + sum(head[156:]) + 8 * ord(" "))
    ):
        raise ValueError(f"damaged at byte {place}")
    name, prefix = (part.split(b"\0")[0] for part in (head[:100], head[345:500]))
    is_posix = head[257:263] == b"ustar\0"  # GNU's own headers have times there
    return _text(prefix + b"/" + name if prefix and is_posix else name)


def _number(field: bytes, place: int) -> int:
    """A number as octal digits, or in base 256 where it is too large for them."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    if not (digits := _OCTAL.fullmatch(field)):
        raise ValueError(f"the size at byte {place} is no number")
    return int(digits[1] or b"0", 8)


def _decimal(text: str, place: int) -> int:
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise ValueError(f"the size at byte {place} is no number")
    return int(text)


def _bounded(size: int, place: int) -> int:
    if size > _LONGEST:
        raise ValueError(f"the name or table at byte {place} has {size} bytes")
    return size


def _pax(packed: bytes, place: int) -> dict[str, str]:
    """The values of a table of pax: lines of their own length, a blank, NAME=VALUE."""
    table, start = {}, 0
    while start < len(packed):
        length = _LENGTH.match(packed, start)
        end = start + int(length[0]) if length else 0
        name, _, value = packed[length.end() : end].partition(b"=") if length else (b"",) * 3
        if end > len(packed) or not value.endswith(b"\n"):
            raise ValueError(f"the table at byte {place} is damaged")
        table[_text(name)] = _text(value[:-1])
        start = end
    return table


def _text(packed: bytes) -> str:
    return packed.decode(errors="replace")
