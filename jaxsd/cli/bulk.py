"""`jaxsd bulk CONFIG [key=value ...]`: the images of a table of rows, on many devices."""

import argparse
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from jaxsd.bulk.config import one_image_a_call, read_config
from jaxsd.bulk.work import Work, checked_work
from jaxsd.cli.hosts import WEEK, add_hosts, join_hosts
from jaxsd.cli.options import add_signing
from jaxsd.terminal import printable
from jaxsd.writing import check_place


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    parser.add_argument("config", help="a run, such as configs/bulk/emoji.toml")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="replace its values")
    parser.add_argument(
        "--skip-bad-rows",
        action="store_true",
        help="record rows that cannot be drawn in the manifest, and draw the others",
    )
    parser.add_argument(
        "--batch-invariant",
        action="store_true",
        help="the same bits whatever batch_size says: one image a call on each device",
    )
    add_signing(parser, "the pictures")
    add_hosts(parser)


def main(args: argparse.Namespace) -> None:
    """Checks all rows, draws those that are not there yet, and prints a summary."""
    config = read_config(args.config, args.overrides)
    if args.c2pa:
        config = replace(config, c2pa=tuple(args.c2pa))
    if args.batch_invariant:
        config = one_image_a_call(config)
    check_place(Path(config.output))
    work = checked_work(
        config,
        skip_bad_rows=args.skip_bad_rows,
        say=lambda line: print(printable(line), file=sys.stderr),
    )
    manifest = draw_work(work, args)
    if manifest is not None:
        print(manifest)


def draw_work(work: Work, args: argparse.Namespace, unit: str = "image") -> Path | None:
    """Draws what is not there yet, with a bar; the whole manifest, once every host is done.

    Args:
      work: checked.
      args: with those of `add_hosts`.
      unit: what an image is called.
    """
    # Imported here because these import jax: mistakes before are reported without that delay.
    import jax
    from tqdm import tqdm

    from jaxsd.bulk.drawing import draw
    from jaxsd.executables import Executables
    from jaxsd.folders import writable_cache
    from jaxsd.training.signals import Stop

    join_hosts(args, patience=WEEK)
    host, hosts = jax.process_index(), jax.process_count()

    def say(line: str) -> None:
        tqdm.write(line, file=sys.stderr)
        sys.stderr.flush()

    with ExitStack() as stack:
        stop = stack.enter_context(Stop())

        def bar(total: int, done: int) -> Callable[[int], object]:
            desc = f"host {host}" if hosts > 1 else None
            shown = tqdm(total=total, initial=done, unit=unit, desc=desc)
            return stack.enter_context(shown).update

        cache = writable_cache(say)
        return draw(
            work,
            Executables(cache and cache / "programs", say),
            host=host,
            hosts=hosts,
            stop=lambda: stop.asked,
            shown=bar,
            say=say,
        )
