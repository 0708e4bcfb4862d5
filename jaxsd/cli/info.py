"""`jaxsd info SRC`: what a model, another file of weights, or a picture is."""

import argparse

from jaxsd.cli.options import add_reading, reading
from jaxsd.terminal import printable

LABEL = 80
"""Characters of a label, at most: names of tensors are labels too."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    parser.add_argument("source", metavar="SRC", help="a folder, a file, a hub id, or a picture")
    add_reading(parser)


def main(args: argparse.Namespace) -> None:
    """Prints a line for each fact."""
    from jaxsd.images import is_picture

    if is_picture(args.source):
        from jaxsd.metadata import about_picture

        lines = about_picture(args.source)
    else:
        from jaxsd.convert.report import report

        lines = report(args.source, **reading(args))
    lines = [(printable(label, LABEL), printable(text)) for label, text in lines]
    width = max(len(label) for label, _ in lines)
    for label, text in lines:
        print(f"{label:{width}}  {text}")
