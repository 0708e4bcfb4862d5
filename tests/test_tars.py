"""Tar files: what the standard library writes, and what its reader should not be given."""

import io
import tarfile
from pathlib import Path

import pytest

from jaxsd.tars import content_of, members_of

NAMES = ("a.png", "b" * 96 + ".txt", f"{'c' * 60}/{'d' * 70}.png", "é/日本.png", "e" * 300)


def written(path: Path, kind: int, names: tuple[str, ...] = NAMES) -> dict[str, bytes]:
    """Files of some names and lengths, with a folder and a link between them."""
    contents = {name: name.encode() * 100 * (number % 3) for number, name in enumerate(names)}
    with tarfile.open(path, "w", format=kind) as tar:
        for name, content in contents.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
            for other, link in (("folder", tarfile.DIRTYPE), ("link", tarfile.SYMTYPE)):
                info = tarfile.TarInfo(other)
                info.type, info.linkname = link, "f" * 200 * (kind != tarfile.USTAR_FORMAT)
                tar.addfile(info)
    return contents


@pytest.mark.parametrize("kind", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_files_are_found_as_tarfile_writes_them(kind: int, tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    contents = written(path, kind, NAMES[: -1 if kind == tarfile.USTAR_FORMAT else None])
    found = {member.name: content_of(path, member) for member in members_of(path)}
    assert list(found) == list(contents)
    assert found == contents


def block(name: bytes, size: bytes, kind: bytes = b"0") -> bytes:
    """A header."""
    head = bytearray(name.ljust(124, b"\0") + size.ljust(24, b"\0") + b" " * 8 + kind)
    head = head.ljust(257, b"\0") + b"ustar\x0000" + bytes(248)
    head[148:156] = b"%06o\0 " % sum(head)
    return bytes(head[:512])


def pax(*lines: bytes) -> bytes:
    """A table of pax, and the header of a file that it is for."""
    packed = b"".join(lines)
    table = block(b"x", b"%011o" % len(packed), b"x") + packed + bytes(-len(packed) % 512)
    return table + block(b"a", b"0")


@pytest.mark.parametrize(
    ("packed", "said"),
    [
        (b"", "it is empty"),
        (b"GARBAGE" * 200, "damaged at byte 0"),
        (block(b"a", b"0") + b"x" * 512, "damaged at byte 512"),
        (block(b"a", b"0")[:300], "damaged at byte 0"),
        (block(b"a\x1b[2J", b"17"), r"a\\x1b\[2J is beyond its end"),
        (block(b"a", b"9"), "the size at byte 0 is no number"),
        (block(b"a", b"\xff" * 12), "the size at byte 0 is no number"),
        (block(b"a", b"\x80" + b"\x7f" * 11), "a is beyond its end"),
        (block(b"a", b"0", b"S"), "a is a sparse file, which is not read"),
        (pax(b"28 GNU.sparse.map=0,8,16,2,\n"), "a is a sparse file, which is not read"),
        (pax(b"12 size=-30\n"), "the size at byte 1024 is no number"),
        (pax(b"13 size=9999\n"), "a is beyond its end"),
        (pax(b"2 2 2 2 2 2 2=\n"), "the table at byte 0 is damaged"),
        (pax(b"99 path=x\n"), "the table at byte 0 is damaged"),
        (pax(b"9" * 2**17), "the name or table at byte 0 has 131072 bytes"),
    ],
)
def test_what_is_wrong_is_one_line(packed: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(packed)
    with pytest.raises(ValueError, match=rf"x\.tar is no whole tar file: {said}$"):
        members_of(path)


def test_a_name_that_many_headers_give(tmp_path: Path) -> None:
    """Each of them calls `tarfile` once more, which ends it."""
    path = tmp_path / "x.tar"
    name = block(b"x", b"1", b"L") + b"n".ljust(512, b"\0")
    path.write_bytes(name * 3000 + block(b"a", b"0"))
    assert [member.name for member in members_of(path)] == ["n"]
