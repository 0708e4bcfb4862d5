"""`jaxsd generate PROMPT [PROMPT ...] -o OUT`: pictures of prompts."""

import argparse
import gc
import hashlib
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np

import jaxsd
from jaxsd.cli.drawing import Job, add_approximations, checked
from jaxsd.images import Recipe, contact_sheet, write_png
from jaxsd.types import PREDICTIONS, Array

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
    parser.add_argument(
        "--model",
        default="emoji",
        help="built-in name, diffusers folder, .safetensors or .ckpt file, or hub id (emoji)",
    )
    parser.add_argument("--negative", default="", metavar="TEXT", help="what to keep away from")
    parser.add_argument("--sampler", default="ddim", help="ddim, euler_a, dpm++_2m_karras, ...")
    parser.add_argument("--steps", type=int, default=20, metavar="N", help="(20)")
    parser.add_argument(
        "--guidance-scale", type=float, metavar="W", help="1 is none (what suits the model)"
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="of the first image; each next one has one more (0)"
    )
    parser.add_argument("--size", metavar="WxH", help="in pixels (what suits the model)")
    parser.add_argument("--num-images", type=int, default=1, metavar="N", help="per prompt (1)")
    parser.add_argument("--dtype", default="float32", help="float32, bfloat16 or float16 (float32)")
    add_approximations(parser)
    parser.add_argument(
        "--prediction",
        choices=PREDICTIONS,
        help="what the U-Net predicts, for SD 2 single files, which do not say",
    )


class StepBar:
    """A bar of steps on stderr, with the time left; nothing where stderr is not a terminal."""

    def __init__(self, rows: int) -> None:
        from tqdm import tqdm

        self.bar = tqdm(total=rows, unit="step", disable=None)
        self.before = 0

    def __call__(self, done: int, rows: int) -> None:
        """Shows that `done` of a batch's `rows` network calls are made, after those `before`."""
        done += self.before
        if done == 1:
            # The first call loads and compiles: the time left is reckoned from the others.
            self.bar.reset(self.bar.total)
            self.bar.initial = done
        self.bar.update(done - self.bar.n)

    def write(self, line: str) -> None:
        """Prints a line above the bar."""
        self.bar.write(line, file=sys.stderr)


@contextmanager
def steps_shown(rows: int) -> Iterator[StepBar]:
    """A bar that is closed at the end."""
    shown = StepBar(rows)
    try:
        yield shown
    finally:
        shown.bar.close()


def main(args: argparse.Namespace) -> None:
    """Checks all that can be checked before a weight is read, then loads, draws and writes."""
    started = time.perf_counter()
    job = checked(args)
    with (
        ThreadPoolExecutor(1) as aside,
        one_line_warnings(),
        steps_shown(job.rows * len(batches(len(job.prompts)))) as progress,
    ):
        hashed = aside.submit(model_hash, Path(job.model))
        images = draw(job, progress)
        save(job, images, hashed.result())
    seconds = time.perf_counter() - started
    print(f"{len(images)} drawn in {seconds:.1f} s", file=sys.stderr)


def draw(job: Job, progress: StepBar) -> Array:
    """The images, uint8 [B, H, W, 3]."""
    # What is made until the first picture stays: looking through it again and again for garbage,
    # and once more at the end, would take a tenth of a short run.
    gc.disable()
    # Imported here because these import jax, which a mistake in the arguments need not wait for.
    from jaxsd.cli.compilation import keep_compiled
    from jaxsd.executables import Executables
    from jaxsd.folders import cache_folder, private

    folder = private(cache_folder())
    keep_compiled(folder, announce=progress.write)
    introduce(job.model, folder, progress.write)
    programs = Executables(folder / "programs", progress.write)
    options = {
        "steps": job.steps,
        "guidance_scale": job.guidance_scale,
        "guidance_interval": job.guidance_interval,
        "reuse": job.reuse,
        "sampler": job.sampler,
        "height": job.height,
        "width": job.width,
    }
    counts = batches(len(job.prompts))

    def prepare(outline: jaxsd.Pipeline) -> None:
        outline.prepare_parts(outline.order("", num_images=counts[0], **options))

    model = {"source": job.model, "prediction": job.prediction, "taesd": job.taesd}
    pipe = jaxsd.load(**model, dtype=job.dtype, programs=programs, ahead=prepare)
    gc.freeze()
    gc.enable()
    drawn: list[Array] = []
    for count in counts:
        progress.before = len(drawn) * job.rows
        first = sum(map(len, drawn))
        images = pipe.text_to_image(
            job.prompts[first : first + count],
            negative_prompt=job.negative_prompt,
            seed=job.seed + first,
            progress=progress,
            **options,
        )
        drawn.append(images)
    return np.concatenate(drawn)


def batches(count: int) -> list[int]:
    """Images to draw at a time, each a power of two: few sizes, so that few programs are compiled.

    An image is the same in whatever batch it is drawn.
    """
    whole, rest = divmod(count, LARGEST_BATCH)
    powers = [2**bit for bit in reversed(range(LARGEST_BATCH.bit_length() - 1)) if rest >> bit & 1]
    return [LARGEST_BATCH] * whole + powers


def introduce(model: str, folder: Path, say: Callable[[str], None]) -> None:
    """Says what the built-in model is, the first time that it is used; `folder` remembers it."""
    told = folder / "introduced"
    if model == "emoji" and not told.exists():
        say(
            "the built-in model draws emoji; for other pictures pass --model: a diffusers folder, "
            "a .safetensors or .ckpt file, or a hub id of SD 1, 2 or XL"
        )
        told.touch()


def save(job: Job, images: Array, hashed: str) -> None:
    """Writes the images with their recipes, then the contact sheet, and names them."""
    for i, (path, image, prompt) in enumerate(zip(job.paths, images, job.prompts, strict=True)):
        recipe = Recipe(
            prompt=prompt,
            negative_prompt=job.negative_prompt,
            steps=job.steps,
            sampler=job.sampler,
            guidance_scale=job.guidance_scale,
            guidance_from=job.guidance_interval[0],
            guidance_to=job.guidance_interval[1],
            reuse=job.reuse,
            seed=job.seed + i,
            width=job.width,
            height=job.height,
            model=job.model,
            dtype=job.dtype,
            version=jaxsd.__version__,
            model_hash=hashed,
            taesd=job.taesd or "",
        )
        write_png(path, image, recipe)
        print(path)
    if job.sheet is not None:
        write_png(job.sheet, contact_sheet(images))
        print(job.sheet)


def model_hash(path: Path) -> str:
    """First ten hex digits of a model file's sha256; empty for anything but a file."""
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:10]


@contextmanager
def one_line_warnings() -> Iterator[None]:
    """Shows warnings as `jaxsd generate: ...` without the place in the code."""
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: print(
            f"jaxsd generate: {message}", file=sys.stderr
        )
        yield
