"""`jaxsd generate PROMPT [PROMPT ...] -o OUT`: pictures of prompts."""

import argparse
import contextlib
import gc
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np

import jaxsd
from jaxsd.canvases import Pictures, canvas_of, read_pictures
from jaxsd.cli.options import add_model, add_settings, given_settings, opened, reading
from jaxsd.cli.progress import StepBar, steps_shown
from jaxsd.convert.controlnet import controlnet_place
from jaxsd.memory import check_drawing
from jaxsd.outputs import model_hash, output_paths, saved
from jaxsd.settings import (
    Recipe,
    Settings,
    checked,
    image_count,
    settings_from,
    tableau_of,
)
from jaxsd.types import Array

LARGEST_BATCH = 8
"""Images drawn at a time."""


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
    drawn = [one.prompt for one in settings]
    paths, sheet = output_paths(Path(args.output), drawn, first.seed)
    rows = tableau_of(settings[0], spec).rows
    with (
        ThreadPoolExecutor(1) as aside,
        steps_shown(rows * len(batches(len(prompts)))) as progress,
    ):
        hashed = aside.submit(model_hash, Path(args.model))
        images = draw(args, settings, pictures, progress)
        recipes = [
            Recipe(
                one,
                model=args.model,
                dtype=args.dtype,
                version=jaxsd.__version__,
                model_hash=hashed.result(),
                taesd=args.taesd or "",
                pictures=hashes,
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


def draw(
    args: argparse.Namespace,
    settings: Sequence[Settings],
    pictures: Pictures,
    progress: StepBar,
) -> Array:
    """The images, uint8 [B, H, W, 3]."""
    # Objects made before the first picture stay in use: searching them for garbage again and again,
    # and once more at the end, would take a tenth of a short run.
    gc.disable()
    # Imported here because these import jax: wrong arguments are reported without that delay.
    from jaxsd.executables import Executables
    from jaxsd.folders import writable_cache
    from jaxsd.jax_cache import keep_compiled
    from jaxsd.pipeline import Pipeline, with_controlnet

    cache = writable_cache(progress.write)
    keep_compiled(cache, announce=progress.write)
    introduce(args.model, cache, progress.write)
    programs = Executables(cache and cache / "programs", progress.write)
    counts = batches(len(settings))
    names = dict.fromkeys(control.model for control in settings[0].control)

    def prepare(outline: Pipeline) -> None:
        if not names:
            outline.prepare_parts(outline.order(settings[: counts[0]], pictures=pictures))

    pipe = jaxsd.load(
        args.model,
        dtype=args.dtype,
        taesd=args.taesd,
        programs=programs,
        ahead=prepare,
        **reading(args),
    )
    for name in names:
        pipe = with_controlnet(pipe, name)
    gc.freeze()
    gc.enable()
    drawn: list[Array] = []
    for count in counts:
        progress.before = progress.bar.n
        first = sum(map(len, drawn))
        order = pipe.order(settings[first : first + count], pictures=pictures)
        drawn.append(pipe.pictures(pipe.drawn(order, progress), order))
    return np.concatenate(drawn)


def batches(count: int) -> list[int]:
    """Images to draw at a time, each a power of two: few sizes, so that few programs are compiled.

    An image is the same in a batch of any size, up to rounding.
    """
    whole, rest = divmod(count, LARGEST_BATCH)
    powers = [2**bit for bit in reversed(range(LARGEST_BATCH.bit_length() - 1)) if rest >> bit & 1]
    return [LARGEST_BATCH] * whole + powers


def introduce(model: str, cache: Path | None, say: Callable[[str], None]) -> None:
    """Says what the built-in model is, the first time that it is used; `cache` remembers it."""
    told = cache and cache / "introduced"
    if model == "emoji" and told and not told.exists():
        say(
            "the built-in model draws emoji; for other pictures pass --model: a diffusers folder, "
            "a .safetensors or .ckpt file, or a hub id of SD 1, 2 or XL"
        )
        with contextlib.suppress(OSError):  # a full disk
            told.touch()
