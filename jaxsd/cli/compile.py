"""`jaxsd compile`: programs for a model and options, made before they are needed."""

import argparse
import sys
import time

from jaxsd.benchmark.jobs import MODELS, PROGRAMS
from jaxsd.canvases import read_pictures
from jaxsd.cli.options import add_model, add_settings, given_settings, opened, reading
from jaxsd.convert.files.tensors import INT8
from jaxsd.drawings import check_models
from jaxsd.memory import check_drawing
from jaxsd.settings import checked, image_count, settings_from, with_sides


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    parser.add_argument(
        "--sizes", nargs="+", default=[], metavar="WxH", help="in pixels (what suits the model)"
    )
    parser.add_argument(
        "--batch",
        nargs="+",
        type=int,
        default=[1],
        metavar="N",
        help="images at a time (1); generate draws 1, 2, 4 or 8 at a time; of a chip with --for",
    )
    parser.add_argument(
        "--samplers",
        nargs="+",
        default=[],
        help="for Python without progress: whole programs too, for these samplers and --steps",
    )
    parser.add_argument(
        "--for",
        dest="target",
        metavar="CHIP:SIDES",
        help="for chips that are not here, such as v5e:2x2 or h100:1: says what the compiler says, "
        f"keeps nothing; --model may be one of {', '.join(MODELS)}, whose shapes are known",
    )
    parser.add_argument(
        "--mesh",
        nargs=3,
        type=int,
        help="of --for: data fsdp tensor (-1 1 1)",
    )
    parser.add_argument(
        "--programs",
        nargs="+",
        metavar="PROGRAM",
        help=f"of --for: those of {', '.join(PROGRAMS)} that are compiled (all); denoise has the "
        "steps",
    )
    add_model(parser)
    add_settings(parser)


def main(args: argparse.Namespace) -> None:
    """Compiles programs into the cache folder; prints a line for each size and batch."""
    for count in args.batch:
        image_count("--batch", count, prompts=1)
    for name in ("mesh", "programs"):
        if getattr(args, name) and args.target is None:
            raise ValueError(f"--{name} belongs to --for; give both, or neither")
    for name in args.programs or ():
        if name not in PROGRAMS:
            raise ValueError(f"--programs {name!r} is unknown: choose of {', '.join(PROGRAMS)}")
    if args.target is not None and args.dtype == INT8:
        raise ValueError("--dtype int8 and --for do not go together; take bfloat16 or float32")
    known = None if args.target is None else MODELS.get(args.model)
    spec = known or opened(args).spec
    given = given_settings(args)
    sizes = [{"size": size} for size in args.sizes] or [{}]
    wanted = [
        [
            checked(settings_from(given | with_sides(size) | sampler), spec)
            for sampler in ({}, *({"sampler": name} for name in args.samplers))
        ]
        for size in sizes
    ]
    if args.target is not None:
        from jaxsd.benchmark import gpu_targets, targets
        from jaxsd.pipeline import outline

        if known:
            pipe = targets.shapes_only(known, args.dtype)
        else:
            pipe = outline(args.model, args.dtype, taesd=args.taesd, **reading(args))
        of = gpu_targets if gpu_targets.is_card(args.target) else targets
        sizes = [(one, count) for one, *_ in wanted for count in args.batch]
        mesh, programs = args.mesh or (-1, 1, 1), args.programs or PROGRAMS
        for report in of.reports(args.target, mesh, pipe, sizes, programs):
            print(report, flush=True)
        return
    for first, *_ in wanted:
        check_drawing(first, spec, images=max(args.batch), together=max(args.batch))
    check_models(wanted[0][:1], spec)
    pictures, _ = read_pictures(wanted[0][0])

    from jaxsd.executables import Executables
    from jaxsd.folders import cache_folder, private
    from jaxsd.jax_cache import keep_compiled
    from jaxsd.pipeline import load, outline, with_beside

    folder = private(cache_folder())
    keep_compiled(folder, announce=_say)
    programs = Executables(folder / "programs", _say)
    # A ControlNet may be a change of the U-Net's weights.
    opening = load if wanted[0][0].control else outline
    pipe = opening(args.model, args.dtype, programs=programs, taesd=args.taesd, **reading(args))
    pipe = with_beside(pipe, wanted[0][:1])
    for first, *others in wanted:
        for count in args.batch:
            started = time.perf_counter()
            pipe.prepare_parts(pipe.order([first] * count, pictures=pictures))
            for settings in others:
                pipe.prepare(pipe.order([settings] * count, pictures=pictures))
            if programs.folder is None:
                raise OSError(f"the programs could not be written to {folder}")
            seconds = time.perf_counter() - started
            size = f"{first.drawn_size[1]}x{first.drawn_size[0]}"
            print(f"{size}, batch {count}: ready in {seconds:.1f} s")


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")  # in one write, since several threads call this
