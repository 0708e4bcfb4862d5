"""`jaxsd parity MODEL`: a model's numbers beside PyTorch's."""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jaxsd
from jaxsd.cli.progress import say
from jaxsd.convert import open_model
from jaxsd.convert.conversion import open_conversion
from jaxsd.writing import check_place

SAMPLERS = ("ddim", "pndm", "euler", "dpm++_2m", "unipc")
"""Those of `parity.pipelines.SCHEDULERS`, which takes long to import."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    parser.add_argument("model", help="a model, as for jaxsd generate --model")
    parser.add_argument(
        "-o", "--output", default="parity", metavar="FOLDER", help="for the report (parity)"
    )
    parser.add_argument(
        "--against",
        choices=("diffusers", "ldm"),
        default="diffusers",
        help="whose code runs beside ours, in PyTorch on the CPU; ldm, that of CompVis and "
        "Stability, has networks of SD 1 and 2 alone (diffusers)",
    )
    parser.add_argument(
        "--theirs",
        metavar="MODEL",
        help="a model that the other side reads (the same one)",
    )
    parser.add_argument(
        "--bisect",
        action="store_true",
        help="write no report: run each network once, and name the first module that differs",
    )
    parser.add_argument(
        "--tolerance",
        type=float,
        default=1e-4,
        metavar="SHARE",
        help="what --bisect calls a difference, over the largest value (0.0001)",
    )
    parser.add_argument(
        "--noise",
        choices=("same", "torch"),
        default="same",
        help="what both begin from: the same numbers, or the same seed, of which each draws them "
        "as PyTorch's generator does (same)",
    )
    parser.add_argument("--seed", type=int, default=0, help="with --noise torch (0)")
    parser.add_argument(
        "--prompt",
        action="append",
        help="what to draw; several times (a red apple, a boat on a lake)",
    )
    parser.add_argument(
        "--negative-prompt", default="blurry", help="what guidance leads away from (blurry)"
    )
    parser.add_argument(
        "--samplers",
        nargs="+",
        choices=SAMPLERS,
        default=["ddim", "pndm", "euler", "dpm++_2m"],
        metavar="NAME",
        help=f"some of {', '.join(SAMPLERS)} (all but unipc)",
    )
    parser.add_argument("--steps", type=int, default=20, help="of each sampler (20)")
    parser.add_argument("--side", type=int, help="height and width (what suits the model)")
    parser.add_argument("--guidance-scale", type=float, default=7.5, help="1 means none (7.5)")


def main(args: argparse.Namespace) -> None:
    """Writes the report, or names the first module that differs."""
    size = _size(args)
    if not args.bisect:
        check_place(Path(args.output).parent)
    theirs = args.theirs or args.model
    ours, other = (open_model(model).spec for model in (args.model, theirs))
    if (ours.unet, ours.vae) != (other.unet, other.vae):
        raise ValueError(f"--theirs {theirs} has networks of other sizes than {args.model}")
    if args.against == "ldm":
        from jaxsd.parity import ldm  # where PyTorch is missing, this says so

        networks = ldm.compare(jaxsd.load(args.model), open_model(theirs), size)
        _compare(args, networks, _request(args, size))
        return
    from jaxsd.parity.pipelines import compare_networks, open_both

    with tempfile.TemporaryDirectory() as scratch:
        folder = _diffusers_folder(args.model, Path(scratch) / "ours")
        beside = _diffusers_folder(theirs, Path(scratch) / "theirs") if args.theirs else folder
        both = open_both(folder, beside)
        request = _request(args, size)
        _compare(args, compare_networks(*both, request), request, both)


def _request(args: argparse.Namespace, size: int) -> Any:
    """What is drawn in both, a `Request`."""
    from jaxsd.parity.pipelines import Request

    prompts = args.prompt or ["a red apple", "a boat on a lake"]
    return Request(
        prompts=prompts,
        negatives=[args.negative_prompt] * len(prompts),
        guidance_scale=args.guidance_scale,
        steps=args.steps,
        height=size,
        width=size,
        seed=args.seed if args.noise == "torch" else None,
    )


def _diffusers_folder(model: str, scratch: Path) -> Path:
    """A model as diffusers reads it without the hub: a folder, which may have to be written."""
    if (Path(model) / "model_index.json").is_file():
        return Path(model)
    open_conversion(model, str(scratch)).run(lambda count: None)
    return scratch


def _size(args: argparse.Namespace) -> int:
    """Height and width of the images.

    Raises:
      ValueError: this or another number is out of range, or the model cannot draw.
    """
    for name, value, low, high in (
        ("steps", args.steps, 1, 1000),
        ("guidance-scale", args.guidance_scale, 1, 100),
        ("tolerance", args.tolerance, 0, 1),
        ("seed", args.seed, 0, 2**63 - 1),
    ):
        if not low <= value <= high:
            raise ValueError(f"--{name} {value:g} is out of range; allowed is {low} to {high}")
    spec = open_model(args.model).spec
    if spec.vae is None:
        raise ValueError(f"{args.model} has no VAE; pass a model that has one")
    size, unit = args.side or spec.default_size, spec.vae.downscale
    if size <= 0 or size % unit:
        raise ValueError(f"--side {size} is not a multiple of {unit} above 0")
    return size


def _compare(
    args: argparse.Namespace,
    networks: Iterator[tuple[str, list[Any]]],
    request: Any,
    both: tuple[Any, Any] | None = None,
) -> None:
    """Compares networks, and drawings of `both` pipelines, and says or writes what was found."""
    from jaxsd.parity.modules import first_apart
    from jaxsd.parity.pipelines import compare_samplers
    from jaxsd.parity.report import Report, write

    modules = {}
    for name, errors in networks:
        modules[name] = errors
        if not args.bisect:
            say(f"{name}: {len(errors)} modules, {max(e.error for e in errors):.1e} apart")
        elif found := first_apart(errors, args.tolerance):
            print(f"{name}: {found.path} is the first that differs, by {found.error:.1e}")
            return
    if args.bisect:
        print(f"no module of {', '.join(modules)} differs by more than {args.tolerance:g}")
        return
    samplers, left_out = [], {}
    if both is not None:
        samplers, left_out = compare_samplers(*both, args.samplers, request, say)
    model, output = Path(args.model).stem, Path(args.output)
    write(Report(model, args.against, request, modules, samplers, left_out), output)
    print(output / "report.md")
