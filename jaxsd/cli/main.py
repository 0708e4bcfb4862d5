"""`jaxsd COMMAND ...`: finds the command's file and runs it."""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

COMMANDS = {
    "convert": "a model from one of PyTorch's layouts to another",
    "info": "what a model, or any other file of weights, is",
    "train": "run or resume a training run",
}
"""Name of the file in `jaxsd.cli` -> what it does."""


def run(argv: Sequence[str] | None = None) -> None:
    """The `jaxsd` program. A user's mistake is one line on stderr, and exit status 2."""
    parser = argparse.ArgumentParser(prog="jaxsd", description="Stable Diffusion in JAX")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text)
        import_module(f"jaxsd.cli.{name}").configure(command)
    args = parser.parse_args(argv)
    try:
        import_module(f"jaxsd.cli.{args.command}").main(args)
    except (ValueError, OSError) as error:
        print(f"jaxsd {args.command}: {error}", file=sys.stderr)
        sys.exit(2)
