"""`jaxsd generate PROMPT [PROMPT ...] -o OUT`: pictures of prompts."""

import argparse
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import jaxsd
from jaxsd.canvases import canvas_of, read_pictures
from jaxsd.cli.options import add_model, add_settings, given_settings, opened, reading
from jaxsd.cli.progress import steps_shown
from jaxsd.convert.controlnet import controlnet_place
from jaxsd.drawings import LARGEST_BATCH, batches, draw
from jaxsd.memory import check_drawing
from jaxsd.outputs import adapter_hashes, model_hash, output_paths, saved
from jaxsd.settings import (
    Recipe,
    checked,
    image_count,
    settings_from,
    tableau_of,
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    parser.add_argument("prompts", nargs="+", metavar="PROMPT", help="what to draw")
    parser.add_argument(
        "-o",
        "--output",
        default=".",
        metavar="OUT",
        help="NAME.png, or a folder (this one); several images also give a contact sheet",
    )
    parser.add_argument("--num-images", type=int, default=1, metavar="N", help="per prompt (1)")
    add_model(parser)
    add_settings(parser)


def main(args: argparse.Namespace) -> None:
    """Checks all that can be checked before a weight is read, then loads, draws and writes."""
    started = time.perf_counter()
    count = image_count("--num-images", args.num_images, len(args.prompts))
    spec = opened(args).spec
    first = settings_from(given_settings(args))
    check_drawing(checked(first, spec), spec, images=count, together=min(count, LARGEST_BATCH))
    prompts = [text for text in args.prompts for _ in range(args.num_images)]
    settings = [
        checked(replace(first, prompt=prompt, seed=first.seed + i), spec)
        for i, prompt in enumerate(prompts)
    ]
    for control in first.control:
        controlnet_place(control.model)
    pictures, hashes = read_pictures(settings[0])
    canvas_of(settings[0], pictures)
    paths, sheet = output_paths(Path(args.output), prompts, first.seed)
    rows = tableau_of(settings[0], spec).rows
    with (
        ThreadPoolExecutor(1) as aside,
        steps_shown(rows * len(batches(len(prompts)))) as progress,
    ):
        hashed = aside.submit(model_hash, Path(args.model))
        images = draw(
            args.model,
            settings,
            pictures,
            progress=progress,
            say=progress.write,
            dtype=args.dtype,
            taesd=args.taesd,
            **reading(args),
        )
        recipes = [
            Recipe(
                one,
                model=args.model,
                dtype=args.dtype,
                version=jaxsd.__version__,
                model_hash=hashed.result(),
                taesd=args.taesd or "",
                pictures=hashes,
                adapters=adapter_hashes(one),
            )
            for one in settings
        ]
        written: list[Path] = []
        try:
            written.extend(saved(paths, sheet, images, recipes))
        finally:
            print("".join(f"{path}\n" for path in written), end="")
    seconds = time.perf_counter() - started
    print(f"{len(images)} drawn in {seconds:.1f} s", file=sys.stderr)
