"""`jaxsd map FOLDER -o SHEET`: pictures laid out by likeness, and which are nearly the same."""

import argparse
from pathlib import Path

import numpy as np

from jaxsd.cli.options import add_model, loading, opened
from jaxsd.cli.progress import keep_programs, say
from jaxsd.drawings import with_programs
from jaxsd.images import contact_sheet, write_picture
from jaxsd.outputs import check_file, check_sides
from jaxsd.score.likeness import places, same, seen_by
from jaxsd.score.scoring import some_pictures

LEAST = 4


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    parser.add_argument("folder", help="pictures, WebDataset tars or ArrayRecord files")
    parser.add_argument(
        "-o", "--output", default="map.png", metavar="SHEET", help=".png, .jpg or .webp (map.png)"
    )
    parser.add_argument(
        "--clip",
        metavar="PLACE",
        help="likeness as a CLIP of transformers sees it, a folder or its file of weights; without "
        "one, as the autoencoder of --model sees it: by places and colours",
    )
    parser.add_argument(
        "--alike",
        type=float,
        default=0.95,
        metavar="C",
        help="pictures are nearly the same from this cosine on, 0 to 1 (0.95)",
    )
    parser.add_argument("--side", type=int, default=64, metavar="PX", help="of a picture (64)")
    parser.add_argument("--steps", type=float, default=1.0, metavar="T", help="of diffusion (1)")
    add_model(parser)


def main(args: argparse.Namespace) -> None:
    """Looks at all pictures, writes the sheet, and prints a line for each group."""
    if not 0 < args.alike <= 1:
        raise ValueError(f"--alike {args.alike} is not above 0 and at most 1")
    if args.side < 1:
        raise ValueError(f"--side {args.side} is not a number of pixels of at least 1")
    output, pictures = check_file(Path(args.output)), some_pictures(args.folder)
    if len(pictures) < LEAST:
        raise ValueError(f"{args.folder} has {len(pictures)} pictures; a map has at least {LEAST}")
    columns = int(np.ceil(np.sqrt(len(pictures))))
    check_sides(output, columns * args.side, columns * args.side)
    if args.clip is None:
        opened(args)
    # Imported here because these import jax: wrong arguments are reported without that delay.
    from tqdm import tqdm

    from jaxsd.diffusion_map import DiffusionMap
    from jaxsd.score.sights import autoencoder_sight, clip_sight

    if args.clip is None:
        network = autoencoder_sight(with_programs(args.model, say, **loading(args)))
    else:
        keep_programs()
        network = clip_sight(args.clip)
    with tqdm(total=len(pictures), unit="picture", disable=None) as bar:
        seen = seen_by(
            network,
            pictures,
            args.side,
            skipped=lambda name, why: say(f"{name} is left out: {why}"),
            done=bar.update,
        )
    if len(seen.names) < LEAST:
        raise ValueError(f"{args.folder} has {len(seen.names)} pictures that can be read")
    for group in same(seen.features, args.alike):
        print(*(seen.names[i] for i in group), sep="  ")
    points = DiffusionMap(2, steps=args.steps).fit_transform(seen.features)
    at = places(points)
    sheet = np.full((at.max() + 1, *seen.small.shape[1:]), 255, np.uint8)
    sheet[at] = seen.small
    write_picture(output, contact_sheet(sheet, columns))
    say(str(output))
