"""`jaxsd info SRC`: what a model, another file of weights, or a picture is."""

import argparse
from collections.abc import Iterator
from pathlib import Path

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
        try:
            lines = list(about_picture(args.source))
        except OSError as error:
            raise OSError(f"{args.source}: {error.strerror or error}") from None
    else:
        from jaxsd.convert.report import report

        lines = report(args.source, **reading(args))
    lines = [(printable(label, LABEL), printable(text)) for label, text in lines]
    width = max(len(label) for label, _ in lines)
    for label, text in lines:
        print(f"{label:{width}}  {text}")


def about_picture(path: str | Path) -> Iterator[tuple[str, str]]:
    """Lines about a picture: its size, what made it, its prompt and settings.

    Raises:
      OSError: it is damaged.
    """
    from jaxsd.images import image_size, picture_texts
    from jaxsd.metadata import read_made

    height, width = image_size(path)
    yield "kind", "picture"
    yield "size", f"{width} x {height}"
    made = read_made(path)
    if made is None:
        yield "made by", "not known"
        yield "texts", ", ".join(picture_texts(path)) or "none"
        return
    yield "made by", made.program
    yield "prompt", "can not be told" if made.prompt is None else made.prompt
    if made.negative_prompt:
        yield "negative prompt", made.negative_prompt
    yield from made.settings.items()
