"""`jaxsd compile`: programs for a model and sizes, made before they are needed."""

import argparse
import sys
import time

from jaxsd.cli.drawing import DTYPES, add_approximations, sides
from jaxsd.convert import open_model
from jaxsd.schedulers import NoiseSchedule, build, guided_rows, renewed_rows


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    parser.add_argument(
        "--model",
        default="emoji",
        help="built-in name, diffusers folder, .safetensors or .ckpt file, or hub id (emoji)",
    )
    parser.add_argument(
        "--sizes", nargs="+", metavar="WxH", help="in pixels (what suits the model)"
    )
    parser.add_argument(
        "--batch",
        nargs="+",
        type=int,
        default=[1],
        metavar="N",
        help="images at a time (1); generate draws 1, 2, 4 or 8 at a time",
    )
    parser.add_argument(
        "--samplers",
        nargs="+",
        default=[],
        help="for Python without progress: whole programs too, for these samplers and --steps",
    )
    parser.add_argument("--steps", type=int, default=20, metavar="N", help="(20)")
    parser.add_argument("--no-guidance", action="store_true", help="for a guidance scale of 1")
    parser.add_argument("--dtype", default="float32", help="float32, bfloat16 or float16 (float32)")
    add_approximations(parser)


def main(args: argparse.Namespace) -> None:
    """Fills the folder of programs, with a line for each size and batch."""
    for count in args.batch:
        if count < 1:
            raise ValueError(f"--batch {count} is not at least 1")
    if args.dtype not in DTYPES:
        raise ValueError(f"--dtype {args.dtype!r} is not one of {', '.join(DTYPES)}")

    from jaxsd.cli.compilation import keep_compiled
    from jaxsd.executables import Executables
    from jaxsd.folders import cache_folder, private
    from jaxsd.pipeline import outline

    spec = open_model(args.model).spec
    schedule = NoiseSchedule.from_config(spec.schedule)
    interval = tuple(args.guidance_interval)
    for sampler in ("ddim", *args.samplers):
        tableau = build(sampler, schedule, args.steps, spec.prediction)
        renewed_rows(args.reuse, guided_rows(interval, tableau.rows), tableau.rows)
    sizes = [sides(size, spec) for size in args.sizes or [None]]

    folder = private(cache_folder())
    keep_compiled(folder, announce=_say)
    programs = Executables(folder / "programs", _say)
    pipe = outline(args.model, args.dtype, programs=programs, taesd=args.taesd)
    plans = {"steps": args.steps, "guidance_interval": interval, "reuse": args.reuse}
    if args.no_guidance:
        plans["guidance_scale"] = 1.0
    for width, height in sizes:
        for count in args.batch:
            started = time.perf_counter()
            asked = {"num_images": count, "height": height, "width": width} | plans
            pipe.prepare_parts(pipe.order("", **asked))
            for sampler in args.samplers:
                pipe.prepare(pipe.order("", sampler=sampler, **asked))
            seconds = time.perf_counter() - started
            print(f"{width}x{height}, batch {count}: ready in {seconds:.1f} s")


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")  # whole, whichever thread says it
