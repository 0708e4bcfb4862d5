"""Random wrong tar files, as shards of WebDataset and as parts of a run; records of ArrayRecord."""

import random
import struct
from pathlib import Path

import numpy as np
from bulk_models import rows_of, units_of
from fuzzing import as_json, attempt, mutated, parts, scrambled, seeds

from jaxsd.bulk.shards import read_pictures
from jaxsd.bulk.store import RECORDS, Store
from jaxsd.images import png_bytes
from jaxsd.records import unpacked
from jaxsd.score.pictures import pictures_in, read_prompted

pytestmark = parts

PICTURE = png_bytes(np.zeros((8, 8, 3), np.uint8))
UNIT = units_of(rows_of([{"prompt": "a", "seed": 0}]))[0]
NAME = UNIT.rows[0].id
LINE = {"id": NAME, "status": "drawn", "file": "shards/00000.tar", "width": 8, "height": 8}
NAMES = (f"{NAME}.png", f"{NAME}.txt", f"{NAME}.json", NAME, RECORDS)
STRANGE = (
    "../x.png",
    "/x.png",
    "a/" * 40 + "b.png",
    "\x1b[2J.png",
    "\xff.txt",
    "",
    ".png",
    "x.PNG",
)
KINDS = (*(b"0" * 200), *b"\0\0\x31\x32\x35\x36\x37SLKxgXNDZ")
"""Types of members: mostly files, and links, folders, long names, pax tables, sparse files."""

HOLES = bytes(41) + b"%011o\0" % 0 + b"%011o\0" % 8 + bytes(73) + b"%011o\0" % 2**30 + bytes(17)
"""What a sparse file's header ends with: 8 bytes that are there, of 2^30."""


def number(rng, value, width):
    """A number as a header holds it: octal, or in base 256, or nothing of the kind."""
    octal = b"%0*o\0" % (width - 1, value)
    if rng.random() < 0.99:
        return octal
    big = rng.choice((2**33, 2**47, 2**55)).to_bytes(7, "big").rjust(width - 1, b"\0")
    odd = (b"\x80" + big, b"\xff" * width, b"-1", b"9" * width, b" ")
    return rng.choice(odd)[:width].ljust(width, b"\0")


def member(rng, name, content):
    """A header and a content, whose header may say something else."""
    name = name.encode("latin-1")
    kind = bytes([rng.choice(KINDS)])
    size = len(content) if rng.random() < 0.97 else rng.choice((0, 1, 511, 10**6))
    head = bytearray(
        name[:100].ljust(100, b"\0")
        + b"".join(number(rng, value, 8) for value in (0o644, 0, 0))
        + number(rng, size, 12)
        + number(rng, 0, 12)
        + b" " * 8
        + kind
        + (name if rng.random() < 0.5 else b"x")[:100].ljust(100, b"\0")
        + rng.choice((b"ustar\x0000", b"ustar  \0", bytes(8)))
        + bytes(64)
        + number(rng, 0, 8) * 2
        + rng.choice((bytes(167), b"a/b".ljust(167, b"\0"), bytes([7]) * 167, HOLES))
    )
    if rng.random() < 0.99:
        head[148:156] = b"%06o\0 " % sum(head)
    return bytes(head) + content + bytes(-len(content) % 512)


def pax(rng):
    """A table of pax for the next member: its size, its name, or where its holes are."""
    key = rng.choice(
        ("size", "path", "mtime", "GNU.sparse.map", "GNU.sparse.realsize", "hdrcharset")
    )
    value = rng.choice(("8", "-1", "9" * 30, "9" * 5000, "0,8,16,2", "x", "", "../y.png", "BINARY"))
    line = f" {key}={value}\n"
    size = len(line) + rng.choice((len(str(len(line))), 0, 3, 10**6))
    return f"{size}{line}".encode() * rng.choice((1, 1, 200))


def tar(rng):
    contents = {
        NAMES[0]: PICTURE,
        NAMES[1]: rng.choice((b"a cat", b"\xff\xfe", b"", b"x" * 200_000)),
        NAMES[2]: as_json(rng, mutated(rng, LINE)),
        NAMES[3]: PICTURE,
        RECORDS: as_json(rng, mutated(rng, [LINE]) if rng.random() < 0.7 else [LINE]),
    }
    several = []
    for name, content in contents.items():
        if rng.random() < 0.8:
            several.append(
                member(rng, rng.choice(STRANGE) if rng.random() < 0.1 else name, content)
            )
        if rng.random() < 0.1:
            several.append(member(rng, "pax", pax(rng)))
    if rng.random() < 0.05:
        several = (several * 300)[: 2**22 // max(map(len, several), default=1)]
    rng.shuffle(several)
    whole = b"".join(several) + bytes(rng.choice((1024, 1024, 0, 100)))
    return scrambled(rng, whole) if rng.random() < 0.2 else whole


def test_tar_files(tmp_path: Path, part: int) -> None:
    store, path = Store(tmp_path, "webdataset", "png", [UNIT]), tmp_path / "x.tar"
    place = tmp_path / "parts/0000000.tar"
    for seed in seeds(part):
        whole = tar(random.Random(seed))
        path.write_bytes(whole)
        place.write_bytes(whole)

        def score(seed: int = seed) -> None:
            for picture in pictures_in(path)[:20]:
                attempt(lambda picture=picture: read_prompted(picture), seed)

        attempt(score, seed)
        attempt(lambda: read_pictures(path, [NAME], "png"), seed)
        attempt(lambda: store._done(UNIT), seed)


def test_records(part: int) -> None:
    for seed in seeds(part):
        rng = random.Random(seed)
        header = as_json(rng, mutated(rng, LINE | {"condition_bytes": 3}))
        size = rng.choice((len(header), len(header), len(header), 0, 2**31, 2**32 - 1))
        whole = struct.pack("<I", size) + header + PICTURE
        attempt(lambda whole=whole: unpacked(whole, "x:0"), seed)
