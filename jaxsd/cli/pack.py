"""`jaxsd pack FOLDER [-o PLACE]`: an image folder as ArrayRecord files."""

import argparse
from pathlib import Path


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    parser.add_argument("folder", help="pictures and their captions, as for jaxsd train")
    parser.add_argument("-o", "--output", metavar="PLACE", help="default: FOLDER-packed")


def main(args: argparse.Namespace) -> None:
    """Writes the files, whose folder then is the `data` of a training run."""
    from jaxsd.training.folder import read_folder
    from jaxsd.training.packed import write_packed

    place = Path(args.output or f"{Path(args.folder)}-packed")
    folder = read_folder(args.folder)
    count, broken = write_packed(folder, place), len(folder.broken.names)
    left_out = f", {broken} left out" if broken else ""
    print(f"{place}: {count} pictures{left_out}; train with data={place}")
