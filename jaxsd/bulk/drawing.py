"""A bulk run on one host, from claiming its folder to the summary."""

import errno
import json
import os
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jaxsd.bulk.artist import PipelineArtist
from jaxsd.bulk.plan import first_units
from jaxsd.bulk.run import Summary, run
from jaxsd.bulk.store import Store, write_whole
from jaxsd.bulk.work import Work, described
from jaxsd.executables import Executables
from jaxsd.images import contact_sheet, decoded
from jaxsd.outputs import write_signed

SHEET = 64
"""Pictures on the contact sheet, at most."""

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

Shown = Callable[[int, int], Callable[[int], Any]]
"""(images in all, images done) -> a function to call with the number of new images."""


def draw(
    work: Work,
    programs: Executables,
    *,
    host: int = 0,
    hosts: int = 1,
    stop: Callable[[], bool],
    shown: Shown,
    say: Callable[[str], None],
) -> Path | None:
    """Draws this host's share of the images that are not there yet.

    Args:
      work: of all hosts.
      programs: keeps compiled programs.
      host: number of this host.
      hosts: number of hosts.
      stop: once it returns true, current calls are finished and no others start.
      shown: starts a progress bar.
      say: called with lines about progress.

    Returns:
      The whole manifest, once every host is done; else None.

    Raises:
      ValueError: the folder holds another run, another process works in it, or there is no room.
    """
    config, who = work.config, f"host {host}: " if hosts > 1 else ""
    store = Store(Path(config.output), config.format, config.picture, work.units, host)
    own = [unit for unit in work.units if unit.shard % hosts == host]
    try:
        with store.locked(), warnings.catch_warnings():
            # The manifest records prompts that are cut.
            warnings.filterwarnings("ignore", "a prompt is")
            description = described(work)
            store.claim(description)
            pending = [unit for unit in own if not store.is_done(unit)]
            total, left = (sum(len(unit.rows) for unit in units) for units in (own, pending))
            count = len(first_units(pending))
            plural = "s" * (count != 1)
            say(f"{who}{left} of {total} images to draw, {count} program{plural} to compile")
            artist = PipelineArtist(work, str(description["model_hash"]), programs)
            seconds = artist.prepare(pending) if pending else 0.0
            committed = shown(total, total - left)
            threads = os.cpu_count() or 1
            summary = run(artist, store, own, threads=threads, stop=stop, committed=committed)
            numbers = numbers_of(summary, artist.devices, seconds)
            packed = (json.dumps(numbers, indent=2) + "\n").encode()
            write_whole(store.folder / f"summary-host-{host}.json", packed)
            say(who + line_of(numbers))
            return written_end(store, work)
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        raise ValueError(
            f"{error.filename or config.output} can not be written: {error.strerror}; make room "
            "and give the same command again"
        ) from None


def numbers_of(summary: Summary, devices: int, compiling: float) -> dict[str, Any]:
    """The results of a run on a host; `compiling` in seconds."""
    return {
        "images": summary.images,
        "failed": summary.failed,
        "seconds": round(summary.seconds, 3),
        "images_per_second_per_device": round(summary.images / summary.seconds / devices, 4),
        "compile_seconds": round(compiling, 3),
        "devices": devices,
        "device_busy": round(summary.busy, 4),
        "stopped": summary.stopped,
    }


def line_of(numbers: dict[str, Any]) -> str:
    """The same as a line of text."""
    return (
        "{images} images, {failed} failed, in {seconds:.1f} s: "
        "{images_per_second_per_device:.3f} images/s/device, compiled in {compile_seconds:.1f} s, "
        "devices busy {device_busy:.1%} of the time after the first call"
    ).format(**numbers) + ("; stopped, the same command goes on" if numbers["stopped"] else "")


def written_end(store: Store, work: Work) -> Path | None:
    """Writes the manifest and a contact sheet once every host is done; else returns None."""
    records = store.finish_all(work.skipped)
    if records is None:
        return None
    drawn = [record for record in records if record["status"] == "drawn"]
    if sizes := Counter(map(_size, drawn)):
        size = sizes.most_common(1)[0][0]
        alike = [record for record in drawn if _size(record) == size]
        sheet = contact_sheet(decoded(store.pictures(alike[:: -(-len(alike) // SHEET)])))
        begun = any(row.settings.image for row in work.rows)
        write_signed(store.folder / "contact_sheet.png", sheet, {}, work.signer, begun=begun)
    return store.folder / "manifest.jsonl"


def _size(record: dict[str, Any]) -> tuple[int, ...]:
    return record["width"], record["height"], *record["outpaint"]
