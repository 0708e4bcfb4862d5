"""The folder of a run. If the run is interrupted, each file in it is complete or absent.

    run.json                  what was asked for; another run is refused
    images/00000/ID.png       format "folder"
    shards/00000.tar          format "webdataset": ID.png, ID.json and ID.txt of each image
    shards/00000.array_record format "arrayrecord": see `jaxsd.bulk.shards`
    manifest/00000.jsonl      a line for each row of a finished shard
    manifest.jsonl            all of them, once the run is done
    parts/0000000.tar         a unit that is done, of a shard that is not

Every file is written as `.NAME.part` and then renamed. A unit is done when its part exists. Once
all units of a shard are done, its file and its manifest are made from their parts, and the parts
are deleted.
"""

import contextlib
import fcntl
import hashlib
import io
import itertools
import json
import os
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxsd.bulk.plan import Unit
from jaxsd.bulk.shards import WRITERS, add, naming_damage, read_pictures
from jaxsd.tars import content_of, members_of
from jaxsd.text_files import decoded, json_of, read_json, read_jsonl
from jaxsd.writing import replacing

RECORDS = "records.json"
Records = list[dict[str, Any]]
"""Lines of the manifest."""
_LINE, _DRAWN = {"id", "status"}, {"file", "width", "height", "outpaint"}
"""What a line has, and what it has as well if its picture was drawn."""


class Store:
    """The folder of a run, as one host of it sees it."""

    def __init__(
        self, folder: Path, kind: str, picture: str, units: Sequence[Unit], host: int = 0
    ) -> None:
        self.folder, self.kind, self.picture, self.host = folder, kind, picture, host
        self.shards: dict[int, list[Unit]] = {}
        for unit in units:
            self.shards.setdefault(unit.shard, []).append(unit)
        for name in ("parts", "manifest", "images" if kind == "folder" else "shards"):
            (folder / name).mkdir(parents=True, exist_ok=True)

    def claim(self, description: Mapping[str, Any]) -> None:
        """Writes down what the run is, or checks that it is the run that began here.

        Raises:
          ValueError: another run began here.
        """
        path = self.folder / "run.json"
        if not path.is_file():
            text = json.dumps(description, indent=2, ensure_ascii=False) + "\n"
            self._write_shared("run.json", text.encode())
        before = read_json(path)
        for name, wanted in description.items():
            if before.get(name) != wanted:
                raise ValueError(
                    f"{self.folder} holds a run with {name} {before.get(name)!r}, not {wanted!r}; "
                    "give another output, or what it began with"
                )

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps out a second process of the same host; the lock ends with its process.

        Raises:
          ValueError: another process is at work.
        """
        with (self.folder / f".lock-{self.host}").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ValueError(f"another process is at work in {self.folder}") from None
            yield

    def is_finished(self, shard: int) -> bool:
        """Whether a shard and its manifest are there."""
        return self._manifest(shard).is_file()

    def is_done(self, unit: Unit) -> bool:
        """Whether a unit need not be drawn again."""
        return self.is_finished(unit.shard) or self._part(unit).is_file()

    def commit(self, unit: Unit, records: Records, pictures: Mapping[str, bytes]) -> None:
        """Saves a unit that is drawn.

        Args:
          records: a line of the manifest for each row; `file` and `sha256` are added here.
          pictures: of the rows that could be drawn, by id.
        """
        named = []
        for record in records:
            if record["id"] in pictures:
                packed = pictures[record["id"]]
                place = {"file": self._place(unit.shard, record["id"])}
                record = record | place | {"sha256": hashlib.sha256(packed).hexdigest()}
            named.append(record)
        if self.kind == "folder":
            for name, packed in pictures.items():
                path = self.folder / self._place(unit.shard, name)
                path.parent.mkdir(exist_ok=True)
                write_whole(path, packed)
            pictures = {}
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as part:
            add(part, RECORDS, json.dumps(named, ensure_ascii=False).encode())
            for name, packed in pictures.items():
                add(part, name, packed)
        write_whole(self._part(unit), buffer.getvalue())

    def finish(self, shard: int) -> None:
        """Makes a shard and its manifest from its parts."""
        units = self.shards[shard]
        records = [record for unit in units for record in self._done(unit)[0]]
        if self.kind != "folder":
            self._write_shard(shard, units)
        write_whole(self._manifest(shard), lines_of(records))
        for unit in units:
            self._part(unit).unlink(missing_ok=True)

    def finish_all(self, skipped: Records) -> Records | None:
        """Writes and returns the whole manifest once all shards of all hosts exist; else None.

        Args:
          skipped: lines for the rows that could not be read.
        """
        if not all(self.is_finished(shard) for shard in self.shards):
            return None
        records = [one for shard in self.shards for one in self._finished(shard)] + skipped
        self._write_shared("manifest.jsonl", lines_of(records))
        for part in (self.folder / "parts").glob("*.tar"):  # left by a host that died in `finish`
            part.unlink(missing_ok=True)
        return records

    def _finished(self, shard: int) -> Records:
        """The lines of a shard's manifest.

        Raises:
          ValueError: it is damaged.
        """
        path, lines = self._manifest(shard), []
        for number, line in read_jsonl(path):
            if not line.keys() >= _LINE or (
                line["status"] == "drawn" and not line.keys() >= _DRAWN
            ):
                raise ValueError(
                    f"{path} line {number} is damaged; remove the file, and its pictures are drawn "
                    "again"
                )
            lines.append(line)
        return lines

    def pictures(self, records: Iterable[dict[str, Any]]) -> Iterator[bytes]:
        """The picture files of lines of the manifest."""
        for file, alike in itertools.groupby(records, key=lambda record: record["file"]):
            names = [record["id"] for record in alike]
            yield from read_pictures(self.folder / file, names, self.picture)

    def _write_shared(self, name: str, packed: bytes) -> None:
        """Writes a file that other hosts may write at the same time, with the same content."""
        with replacing(self.folder / name, self.folder / f".{name}.{self.host}") as own:
            own.write_bytes(packed)
            synced(own)

    def _write_shard(self, shard: int, units: Sequence[Unit]) -> None:
        ending, writer = WRITERS[self.kind]
        path = self.folder / f"shards/{shard:05d}.{ending}"
        with replacing(path, _beside(path)) as part:
            with writer(part, self.picture) as write:
                for unit in units:
                    records, pictures = self._done(unit)
                    for record in records:
                        if "file" in record:
                            write(record, pictures[record["id"]])
            synced(part)

    def _done(self, unit: Unit) -> tuple[Records, dict[str, bytes]]:
        """What `commit` saved: lines of the manifest, and pictures by id.

        Raises:
          ValueError: it is damaged.
        """
        path = self._part(unit)
        with naming_damage(path, "remove it"):
            files = {member.name: content_of(path, member) for member in members_of(path)}
            records = json_of(decoded(files.pop(RECORDS), RECORDS), RECORDS)
            drawn = {record["id"] for record in records if "file" in record}
            if self.kind != "folder" and drawn != files.keys():
                raise ValueError
        return records, files

    def _place(self, shard: int, name: str) -> str:
        if self.kind == "folder":
            return f"images/{shard:05d}/{name}.{self.picture}"
        return f"shards/{shard:05d}.{WRITERS[self.kind][0]}"

    def _part(self, unit: Unit) -> Path:
        return self.folder / f"parts/{unit.number:07d}.tar"

    def _manifest(self, shard: int) -> Path:
        return self.folder / f"manifest/{shard:05d}.jsonl"


def lines_of(records: Records) -> bytes:
    """Lines of JSON."""
    return "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in records).encode()


def write_whole(path: Path, packed: bytes) -> None:
    """Writes a temporary file, and renames it once it is on the disk."""
    with replacing(path, _beside(path)) as part:
        part.write_bytes(packed)
        synced(part)


def _beside(path: Path) -> Path:
    """Where a file is written: the same name again after a kill, so that nothing is left."""
    return path.with_name(f".{path.name}.part")


def synced(path: Path) -> None:
    """Waits until what was written is on the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
