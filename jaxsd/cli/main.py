"""The `jaxsd` program: its arguments, and how it ends."""

import argparse
import sys
import warnings
from collections.abc import Sequence
from typing import NoReturn

from jaxsd import streams
from jaxsd.cli.start import INTERRUPTED, interrupted, listen
from jaxsd.terminal import printable


def run(argv: Sequence[str] | None = None) -> NoReturn:
    """The `jaxsd` program; `argv` is what follows its name. Ends with `SystemExit`."""
    streams.begin()
    listen()
    try:
        _run(["jaxsd", *(sys.argv[1:] if argv is None else argv)])
    except BrokenPipeError:
        sys.exit(streams.BROKEN_PIPE)
    except (KeyboardInterrupt, Exception) as error:
        if not isinstance(error, KeyboardInterrupt) and not interrupted():
            raise
        print("jaxsd: interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
    finally:
        streams.end()


def _run(argv: Sequence[str]) -> NoReturn:
    from absl import app, logging

    from jaxsd.cli.arguments import parse

    # Without this absl shows jax's notes on missing accelerators; with `-v 0` it still does.
    logging.set_verbosity(logging.WARNING)
    _name_warnings("jaxsd")
    # Pillow warns of damaged metadata, which do not matter, and of sizes that we refuse.
    warnings.filterwarnings("ignore", module="PIL")
    app.run(main, argv, flags_parser=parse)


def main(args: argparse.Namespace) -> None:
    """Runs the command. A user's mistake is one line on stderr, and exit status 2.

    Status 1 is for numbers that went wrong (latents that are not finite). With `-v 1` the
    traceback is logged too.
    """
    from absl import logging

    from jaxsd.cli.arguments import file_of
    from jaxsd.cli.ending import ending

    _name_warnings(f"jaxsd {args.command}")
    try:
        file_of(args.command).main(args)
    except BrokenPipeError:
        raise
    except (Exception, KeyboardInterrupt) as error:
        end = ending(error)
        if end is None:
            raise
        logging.debug("jaxsd %s failed", args.command, exc_info=True)
        if "jax" in sys.modules:
            from jaxsd.parallel.devices import settle

            settle()
        status, line = end
        print(printable(f"jaxsd {args.command}: {line}"), file=sys.stderr)
        sys.exit(status)


def _name_warnings(who: str) -> None:
    """Shows warnings as one line, without the place in the code."""
    warnings.formatwarning = lambda message, *_, **__: printable(f"{who}: {message}") + "\n"
