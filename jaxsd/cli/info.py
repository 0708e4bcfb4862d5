"""`jaxsd info SRC`: what a model, or any other file of weights, is."""

import argparse

from jaxsd.cli.options import add_reading, reading


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    parser.add_argument("source", metavar="SRC", help="a folder, a file, or a hub id")
    add_reading(parser)


def main(args: argparse.Namespace) -> None:
    """Prints a line for each fact."""
    from jaxsd.convert.report import report

    lines = report(args.source, **reading(args))
    width = max(len(label) for label, _ in lines)
    for label, text in lines:
        print(f"{label:{width}}  {text}")
