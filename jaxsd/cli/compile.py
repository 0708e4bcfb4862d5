"""`jaxsd compile`: programs for a model and sizes, made before they are needed."""

import argparse
import sys
import time

from jaxsd.cli.drawing import DTYPES, add_approximations, sides


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

    import jaxsd
    from jaxsd.cli.compilation import keep_compiled
    from jaxsd.executables import Executables
    from jaxsd.folders import cache_folder, private
    from jaxsd.pipeline import Order, ordered
    from jaxsd.sampling.program import Request
    from jaxsd.schedulers import NoiseSchedule, build

    folder = private(cache_folder())
    keep_compiled(folder, announce=_say)
    programs = Executables(folder / "programs", _say)
    pipe = jaxsd.load(args.model, args.dtype, programs=programs, taesd=args.taesd)
    schedule = NoiseSchedule.from_config(pipe.spec.schedule)

    guided = pipe.spec.unet.guidance_dim is None and not args.no_guidance
    plans = {"guidance_interval": tuple(args.guidance_interval), "reuse": args.reuse}

    def order(sampler: str, request: Request) -> Order:
        tableau = build(sampler, schedule, args.steps, pipe.spec.prediction)
        return ordered(tableau, request, guided=guided, **plans)

    for size in args.sizes or [None]:
        width, height = sides(size, pipe.spec)
        for count in args.batch:
            started = time.perf_counter()
            request = pipe.blank_request(count, height, width, guided=guided)
            pipe.prepare_parts(order("ddim", request))
            for sampler in args.samplers:
                pipe.prepare(order(sampler, request))
            seconds = time.perf_counter() - started
            print(f"{width}x{height}, batch {count}: ready in {seconds:.1f} s")


def _say(line: str) -> None:
    print(line, file=sys.stderr)
