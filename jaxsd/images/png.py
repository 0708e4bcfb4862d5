"""The chunks of PNG files: those that the pixels need, and the texts."""

import io
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_TEXT = 2**23
"""Bytes that all texts of a picture have, at most; those beyond are left out."""

_TEXTS = (b"tEXt", b"zTXt", b"iTXt", b"comf")  # the last is ComfyUI's, in animated pictures
_FRAMES = (b"acTL", b"fcTL", b"fdAT")
XMP = "XML:com.adobe.xmp"
"""The name of the text that is XMP."""
_XMP = XMP.encode() + b"\0\0"  # it is not compressed, and may have the orientation
_MAX_XMP = 2**20
_END = struct.pack(">I4sI", 0, b"IEND", zlib.crc32(b"IEND"))


class Chunk(NamedTuple):
    """A chunk of a file; its content is `size` bytes from `start` on."""

    name: bytes
    start: int
    size: int


def size_in(file: BinaryIO) -> tuple[int, int]:
    """Width and height that a PNG file states, 0 where it ends before."""
    file.seek(len(SIGNATURE) + 8)
    return struct.unpack(">II", file.read(8).ljust(8, b"\0"))


def chunks(file: BinaryIO) -> Iterator[Chunk]:
    """The chunks of a PNG file up to its end, or to where the file ends before."""
    place, name = len(SIGNATURE), b""
    while name != b"IEND":
        file.seek(place)
        head = file.read(8)
        if len(head) < 8:
            return
        size, name = struct.unpack(">I4s", head)
        yield Chunk(name, place + 8, size)
        place += size + 12


def bare(file: BinaryIO, *, header: bool, moving: bool = False) -> io.BytesIO:
    """A PNG with the chunks that its pixels and its orientation need, and no others.

    So that no profile and no text, damaged or long, can prevent the pixels from being read. The
    orientation comes before the pixels, wherever it was.

    Args:
      header: True to leave out the pixels.
      moving: True to keep the other frames of an animated PNG.
    """
    before, behind = [], [_END] * header
    for chunk in chunks(file):
        name = chunk.name
        if name in (b"eXIf", b"iTXt"):
            if chunk.size <= _MAX_XMP and _is_whole(packed := _packed(file, chunk)):
                about = name == b"eXIf" or packed[8:].startswith(_XMP)
                before += [packed] * about
        elif name in (b"IHDR", b"PLTE", b"tRNS"):
            before.append(_packed(file, chunk))
        elif not header and (not name[0] & 32 or (moving and name in _FRAMES)):
            # A capital: decoders must know it.
            behind.append(_packed(file, chunk))
    return io.BytesIO(b"".join([SIGNATURE, *before, *behind]))


def texts_in(file: BinaryIO) -> dict[str, str]:
    """The texts of a PNG file by name.

    Texts that should be Latin-1 are read as UTF-8 where they are valid UTF-8, since some programs
    write that.
    """
    texts, left = {}, MAX_TEXT
    for chunk in chunks(file):
        if chunk.name not in _TEXTS or chunk.size > left:
            continue
        file.seek(chunk.start)
        name, _, packed = file.read(chunk.size).partition(b"\0")
        text = _unpacked(chunk.name, packed, left)
        if text is not None:
            left -= len(text)
            texts.setdefault(decoded(name), decoded(text))
    return texts


def decoded(text: bytes) -> str:
    """Bytes as text: UTF-8, or Latin-1 where they are not UTF-8."""
    try:
        return text.decode()
    except UnicodeDecodeError:
        return text.decode("latin-1")


def _packed(file: BinaryIO, chunk: Chunk) -> bytes:
    file.seek(chunk.start - 8)
    return file.read(chunk.size + 12)


def _is_whole(packed: bytes) -> bool:
    return zlib.crc32(packed[4:-4]) == int.from_bytes(packed[-4:], "big")


def _unpacked(name: bytes, packed: bytes, most: int) -> bytes | None:
    """The text behind a name and its zero; None if it is damaged or longer than `most`."""
    compressed = name == b"zTXt"
    if compressed:
        packed = packed[1:]  # the method
    if name == b"iTXt":
        compressed, packed = packed[:1] == b"\1", packed[2:]
        packed = packed.split(b"\0", 2)[-1]  # behind the language and the translated name
    if not compressed:
        return packed
    stream = zlib.decompressobj()
    try:
        text = stream.decompress(packed, most)
    except zlib.error:
        return None
    return text if stream.eof else None
