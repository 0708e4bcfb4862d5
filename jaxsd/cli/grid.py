"""`jaxsd grid PROMPT --x AXIS [--y AXIS] [--z AXIS] -o SHEET`: one picture in many versions."""

import argparse
import sys
import time
from functools import cache
from pathlib import Path

import numpy as np

import jaxsd
from jaxsd.bulk.grid import grid_of
from jaxsd.canvases import canvas_of, pictures_alone, read_pictures
from jaxsd.cli.options import (
    add_model,
    add_settings,
    add_signing,
    given_settings,
    loading,
    opened,
    reading,
)
from jaxsd.cli.progress import steps_shown
from jaxsd.convert.reading import Reading
from jaxsd.drawings import LARGEST_BATCH, check_models, with_programs
from jaxsd.images import encoder_of, labelled_sheet
from jaxsd.memory import check_drawing
from jaxsd.outputs import adapter_hashes, check_file, write_signed
from jaxsd.provenance import Signer
from jaxsd.settings import Recipe, calls_of, settings_from
from jaxsd.webui import PARAMETERS, parameters_text


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    parser.add_argument("prompt", metavar="PROMPT", help="what to draw")
    for side, along in (("x", "left to right"), ("y", "top to bottom"), ("z", "sheet to sheet")):
        parser.add_argument(
            f"--{side}",
            default="",
            metavar="AXIS",
            help=f"what changes from {along}: 'NAME: VALUE, VALUE', where NAME is any option here, "
            "or seed, cfg, denoising, size, schedule type, prompt s/r; numbers may be 1-5, "
            "1-9 (+2), 1-9 [3]",
        )
    parser.add_argument(
        "-o", "--output", default="grid.png", metavar="SHEET", help="a .png, .jpg or .webp file"
    )
    add_signing(parser, "the sheet")
    add_model(parser)
    add_settings(parser)


def main(args: argparse.Namespace) -> None:
    """Checks every cell before a weight is read, then draws them and writes the sheet."""
    started = time.perf_counter()
    model = opened(args)
    spec = model.spec
    base = settings_from(given_settings(args) | {"prompt": args.prompt})
    grid = grid_of(base, spec, args.x, args.y, args.z)
    largest = max(grid.cells, key=lambda one: np.prod(one.final_size))
    most = min(len(grid.cells), LARGEST_BATCH)
    check_drawing(largest, spec, images=2 * len(grid.cells), together=most)
    check_models(grid.cells, spec)
    read = cache(read_pictures)
    pictures = [read(pictures_alone(one))[0] for one in grid.cells]
    for one, own in zip(grid.cells, pictures, strict=True):
        canvas_of(one, own)
    output = check_file(Path(args.output))
    blank = [np.broadcast_to(np.uint8(0), (*one.final_size, 3)) for one in grid.cells]
    height, width = labelled_sheet(blank, *grid.labels).shape[:2]
    for shape in ((height, 1, 3), (1, width, 3)):
        encoder_of(output)(np.zeros(shape, np.uint8), {})
    signer = Signer(*map(Path, args.c2pa)) if args.c2pa else None
    calls = calls_of(grid.cells, spec, model.tokenizers, LARGEST_BATCH)
    with steps_shown(sum(call.rows for call in calls)) as progress:
        from jaxsd.pipeline import check_adapters, draw_many

        check_adapters(grid.cells, spec)
        pipe = with_programs(args.model, progress.write, grid.cells, **loading(args))
        images = draw_many(pipe, grid.cells, pictures, most=LARGEST_BATCH, progress=progress)
    recipe = Recipe(
        grid.cells[0],
        model=args.model,
        dtype=args.dtype,
        version=jaxsd.__version__,
        taesd=args.taesd or "",
        pictures=read(pictures_alone(grid.cells[0]))[1],
        adapters=adapter_hashes(grid.cells[0]),
        reading=Reading(**reading(args)).stated,
    )
    texts = {PARAMETERS: parameters_text(recipe, grid.described)}
    begun = any(one.image for one in grid.cells)
    write_signed(output, labelled_sheet(images, *grid.labels), texts, signer, begun=begun)
    print(output)
    print(f"{len(images)} drawn in {time.perf_counter() - started:.1f} s", file=sys.stderr)
