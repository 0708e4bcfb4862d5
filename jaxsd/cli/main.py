"""`jaxsd COMMAND ...`: finds the command's file and runs it."""

import argparse
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from types import ModuleType
from typing import NoReturn

from absl import app, logging
from absl.flags import argparse_flags

import jaxsd

COMMANDS = {
    "bench": "how long the parts of models take here",
    "bulk": "the images of a table of rows, on many devices",
    "cache-latents": "pictures and captions as a training run's networks see them",
    "compile": "programs for a model and sizes, before they are needed",
    "convert": "a model from one of PyTorch's layouts to another",
    "export": "what a run has learnt, for other programs",
    "generate": "pictures of prompts",
    "info": "what a model, or any other file of weights, is",
    "pack": "an image folder as ArrayRecord files, to train on",
    "score": "numbers of quality over a folder of pictures",
    "train": "run or resume a training run",
}
"""Name of the file in `jaxsd.cli`, with `-` for `_` -> what it does."""


class Parser(argparse_flags.ArgumentParser):
    """An argument parser that also takes absl's logging flags, and reports errors in one line."""

    def error(self, message: str) -> NoReturn:
        """Ends the program with status 2."""
        self.exit(2, f"{self.prog}: {message}; see {self.prog} -h\n")


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The arguments after the name of the program.

    Only the file of the named command is imported, which keeps `--help` quick.
    """
    parser = Parser(prog="jaxsd", description="Stable Diffusion in JAX")
    parser.add_argument("--version", action="version", version=f"jaxsd {jaxsd.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text)
        if name in argv:
            _file(name).configure(command)
    return parser.parse_args(argv[1:])


def _file(command: str) -> ModuleType:
    return import_module(f"jaxsd.cli.{command.replace('-', '_')}")


def main(args: argparse.Namespace) -> None:
    """Runs the command. A user's mistake is one line on stderr, and exit status 2.

    Status 1 is for numbers that went wrong (latents that are not finite). With `-v 1` the
    traceback is logged too.
    """
    try:
        _file(args.command).main(args)
    except (ValueError, OSError, FloatingPointError) as error:
        logging.debug("jaxsd %s failed", args.command, exc_info=True)
        settle()
        print(f"jaxsd {args.command}: {error}", file=sys.stderr)
        sys.exit(1 if isinstance(error, FloatingPointError) else 2)
    except KeyboardInterrupt:
        settle()
        print(f"jaxsd {args.command}: interrupted", file=sys.stderr)
        sys.exit(130)


def settle() -> None:
    """Waits for programs that still run: a process that ends under one can crash.

    Of several hosts none waits, since the others may never do their part.
    """
    jax = sys.modules.get("jax")
    arrays = []
    with suppress(RuntimeError):  # there is no device
        if jax is not None and jax.process_count() == 1:
            arrays = jax.live_arrays()
    for array in arrays:
        with suppress(RuntimeError):  # its program failed, or a later one took its memory
            array.block_until_ready()


def run(argv: Sequence[str] | None = None) -> NoReturn:
    """The `jaxsd` program; `argv` is what follows its name. Ends with `SystemExit`."""
    # Without this absl shows jax's notes on missing accelerators; with `-v 0` it still does.
    logging.set_verbosity(logging.WARNING)
    warnings.formatwarning = lambda message, *_, **__: f"jaxsd: {message}\n"
    app.run(main, ["jaxsd", *(sys.argv[1:] if argv is None else argv)], flags_parser=parse)
