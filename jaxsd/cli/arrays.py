"""`jaxsd arrays MODEL -o FILE`: new arrays of a trained model, or how given ones go on."""

import argparse
from pathlib import Path

import numpy as np

from jaxsd.arrays.files import read_array
from jaxsd.cli.progress import keep_programs
from jaxsd.writing import check_place, replacing

MOST = 1_000_000


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    parser.add_argument("model", help="folder `model` of a run of task arrays")
    parser.add_argument(
        "-o", "--output", required=True, metavar="FILE", help=".npy: [COUNT, ...] of float32"
    )
    parser.add_argument("--count", type=int, default=100, metavar="N", help="how many (100)")
    parser.add_argument(
        "--past",
        metavar="FILE",
        help=".npy or .npz of rows that are shorter in time than the model's: each is continued "
        "COUNT times, [COUNT, rows, ...]",
    )
    parser.add_argument("--known", type=int, metavar="T", help="take only T times of --past")
    parser.add_argument("--seed", type=int, default=0, help="0 to 2^32 - 1 (0)")
    parser.add_argument("--sampler", metavar="NAME", help="default: dpm++_2m")
    parser.add_argument("--steps", type=int, metavar="N", help="of the sampler (20)")


def main(args: argparse.Namespace) -> None:
    """Writes the arrays."""
    output = Path(args.output)
    if output.suffix != ".npy":
        raise ValueError(f"--output {output} does not end in .npy")
    check_place(output.parent)
    for name, least, most in (("count", 1, MOST), ("seed", 0, 2**32 - 1), ("steps", 1, 1000)):
        value = getattr(args, name)
        if value is not None and not least <= value <= most:
            raise ValueError(f"--{name} {value} is out of range; allowed are {least} to {most}")
    if args.known is not None and args.past is None:
        raise ValueError(f"--known {args.known} is for --past, which is not given")
    past = None if args.past is None else read_array(args.past)
    # Imported here because these import jax: wrong arguments are reported without that delay.
    from jaxsd.arrays.model import draw, forecast, read_arrays

    keep_programs()
    model = read_arrays(args.model)
    chosen = {"sampler": args.sampler, "steps": args.steps}
    options = {"seed": args.seed} | {name: v for name, v in chosen.items() if v is not None}
    if past is None:
        rows = draw(model, args.count, **options)
    else:
        rows = forecast(
            model, beginning(past, args.known, model.spec.time_axis), args.count, **options
        )
    output.parent.mkdir(parents=True, exist_ok=True)
    with replacing(output) as part, part.open("wb") as file:
        np.save(file, rows)
    print(f"{output}: {list(rows.shape)}")


def beginning(rows: np.ndarray, known: int | None, axis: int) -> np.ndarray:
    """The first `known` times of rows; all for None.

    Raises:
      ValueError: they have fewer.
    """
    if known is None or axis >= rows.ndim:
        return rows
    if not 1 <= known <= rows.shape[axis]:
        raise ValueError(f"--known {known} is out of range; --past has {rows.shape[axis]} times")
    return np.take(rows, range(known), axis)
