"""`jaxsd bulk CONFIG [key=value ...]`: the images of a table of rows, on many devices."""

import argparse
import errno
import json
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import jaxsd
from jaxsd.bulk.config import BulkConfig, read_config
from jaxsd.bulk.plan import Unit, plan, programs
from jaxsd.bulk.rows import BadRow, Row, read_rows, tableaus
from jaxsd.bulk.store import Records, Store, write_whole
from jaxsd.cli.hosts import add_hosts
from jaxsd.convert import open_model
from jaxsd.convert.tiny_vae import with_tiny_vae
from jaxsd.images import contact_sheet, decoded, write_png

if TYPE_CHECKING:
    from jaxsd.bulk.run import Summary
    from jaxsd.cli.bulk_drawing import Artist

SHEET = 64
"""Pictures on the contact sheet, at most."""
LISTED = 50
"""Bad rows that are listed before the rest are counted."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    parser.add_argument("config", help="a run, such as configs/bulk/emoji.toml")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="replace its values")
    parser.add_argument(
        "--skip-bad-rows",
        action="store_true",
        help="record rows that can not be drawn in the manifest, and draw the others",
    )
    parser.add_argument(
        "--batch-invariant",
        action="store_true",
        help="the same bits whatever batch_size says: one image a call on each device",
    )
    add_hosts(parser)


def main(args: argparse.Namespace) -> None:
    """Checks all rows, draws those that are not there yet, and sums up."""
    config = read_config(args.config, args.overrides)
    if args.batch_invariant:
        config = one_image_a_call(config)
    model = open_model(config.model, prediction=config.prediction or None)
    if config.taesd:
        model = with_tiny_vae(model, config.taesd)
    tableau_of = tableaus(model.spec)
    rows, bad = read_rows(config, model.spec, tableau_of)
    if bad and not args.skip_bad_rows:
        refuse(bad, len(rows) + len(bad))
    units = plan(
        rows,
        tableau_of,
        embeds_guidance=model.spec.unet.guidance_dim is not None,
        batch_size=config.batch_size,
        images_per_shard=config.images_per_shard,
    )
    skipped = [{"line": line, "status": "refused", "error": error} for line, error in bad]

    # Imported here because it imports jax, which a mistake above need not wait for.
    from jaxsd.cli.bulk_drawing import Artist, joined, weights_hash

    host, hosts = joined(args)
    artist = Artist(config, tableau_of, weights_hash(model))
    store = Store(Path(config.output), config.format, config.picture, units, host)
    try:
        with store.locked():
            store.claim(described(config, rows, artist.model_hash))
            own = [unit for unit in units if unit.shard % hosts == host]
            draw(artist, store, own, f"host {host}: " if hosts > 1 else "")
            write_end(store, skipped)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise ValueError(
            f"the disk of {config.output} is full; make room and give the same command again"
        ) from None


def one_image_a_call(config: BulkConfig) -> BulkConfig:
    """The run whose images do not depend on `batch_size`.

    Raises:
      ValueError: the mesh splits weights, which makes another program.
    """
    if config.mesh[1:] != (1, 1):
        raise ValueError(
            f"--batch-invariant is not possible on mesh {list(config.mesh)}, which splits weights; "
            "make it [-1, 1, 1]"
        )
    return replace(config, batch_size=1)


def refuse(bad: Sequence[BadRow], count: int) -> None:
    """Lists the rows that can not be drawn.

    Raises:
      ValueError: always.
    """
    for line, error in bad[:LISTED]:
        print(f"line {line}: {error}", file=sys.stderr)
    if len(bad) > LISTED:
        print(f"and {len(bad) - LISTED} more", file=sys.stderr)
    raise ValueError(f"{len(bad)} of {count} rows can not be drawn; mend them, or --skip-bad-rows")


def described(config: BulkConfig, rows: Sequence[Row], model_hash: str) -> dict[str, object]:
    """What must be the same for a run to go on: all that an image or its place depends on."""
    import hashlib

    digest = hashlib.sha256()
    for row in rows:
        digest.update(repr(row).encode())
    return {
        "version": jaxsd.__version__,
        "model_hash": model_hash,
        "rows": len(rows),
        "rows_hash": digest.hexdigest(),
        **{name: getattr(config, name) for name in ("dtype", "batch_size", "format", "picture")},
        "guidance_interval": list(config.guidance_interval),
        "reuse": config.reuse,
        "images_per_shard": config.images_per_shard,
    }


def draw(artist: "Artist", store: Store, units: Sequence[Unit], who: str) -> None:
    """Draws this host's share, and says what came of it."""
    from tqdm import tqdm

    from jaxsd.bulk.run import run
    from jaxsd.cli.compilation import keep_compiled
    from jaxsd.folders import cache_folder, private
    from jaxsd.training.signals import Stop

    keep_compiled(private(cache_folder()), announce=tqdm.write)

    pending = [unit for unit in units if not store.is_done(unit)]
    total, left = (sum(len(unit.rows) for unit in some) for some in (units, pending))
    count = len(programs(pending))
    print(
        f"{who}{left} of {total} images to draw, {count} program{'s' * (count != 1)} to compile",
        file=sys.stderr,
        flush=True,
    )
    with ExitStack() as stack:
        stop = stack.enter_context(Stop())
        seconds = artist.prepare(pending) if pending else 0.0
        bar = stack.enter_context(tqdm(total=total, initial=total - left, unit="image", desc=who))
        summary = run(artist.host(lambda: stop.asked, bar.update), store, units)
    write_summary(store, summary, artist, seconds, who)


def write_summary(
    store: Store, summary: "Summary", artist: "Artist", compiling: float, who: str
) -> None:
    """Prints the numbers of a run, and keeps those of this host."""
    rate = summary.images / summary.seconds / artist.devices
    numbers = {
        "images": summary.images,
        "failed": summary.failed,
        "seconds": round(summary.seconds, 3),
        "images_per_second_per_device": round(rate, 4),
        "compile_seconds": round(compiling, 3),
        "devices": artist.devices,
        "device_busy": round(summary.busy, 4),
        "stopped": summary.stopped,
    }
    name = f"summary-{who.strip(': ').replace(' ', '-') or 'host-0'}.json"
    write_whole(store.folder / name, (json.dumps(numbers, indent=2) + "\n").encode())
    print(
        f"{who}{summary.images} images, {summary.failed} failed, in {summary.seconds:.1f} s: "
        f"{rate:.3f} images/s/device, compiled in {compiling:.1f} s, devices busy "
        f"{summary.busy:.1%} of the time after the first call"
        + ("; stopped, the same command goes on" if summary.stopped else ""),
        file=sys.stderr,
    )


def write_end(store: Store, skipped: Records) -> None:
    """The whole manifest and a contact sheet, once every host is done."""
    records = store.finish_all(skipped)
    if records is None:
        return
    drawn = [record for record in records if record["status"] == "drawn"]
    sizes = Counter((record["width"], record["height"]) for record in drawn)
    if sizes:
        size = sizes.most_common(1)[0][0]
        alike = [record for record in drawn if (record["width"], record["height"]) == size]
        chosen = alike[:: -(-len(alike) // SHEET)]
        sheet = contact_sheet(decoded(store.pictures(chosen)))
        write_png(store.folder / "contact_sheet.png", sheet)
    print(store.folder / "manifest.jsonl")
