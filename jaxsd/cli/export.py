"""`jaxsd export RUN --to FORMAT`: what a run has learnt, for other programs."""

import argparse
from pathlib import Path

from jaxsd.convert.files.tensors import DTYPES
from jaxsd.writing import check_place

SMALL = ("lora-peft", "lora-kohya", "embedding")
"""Formats that have what was trained alone."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    parser.add_argument("run", help="folder of a run, the `output` of its configuration")
    parser.add_argument(
        "--to",
        required=True,
        metavar="FORMAT",
        help="what the task has of diffusers, single-file, lora-peft, lora-kohya, control-lora, "
        "embedding",
    )
    parser.add_argument(
        "--dtype",
        choices=DTYPES,
        help="of LoRAs and embeddings: float16 is half as large; default: float32",
    )
    parser.add_argument("-o", "--output", metavar="PLACE", help="default: RUN/export-FORMAT")


def main(args: argparse.Namespace) -> None:
    """Writes the averaged weights of the latest checkpoint.

    Raises:
      ValueError: a format that the task does not have, or whose dtype is not to be chosen.
      FileNotFoundError: no such run, or one without a checkpoint.
    """
    from jaxsd.training.exports import place_of
    from jaxsd.training.loop import averaged_weights
    from jaxsd.training.resuming import read_run
    from jaxsd.training.tasks import task_of

    if args.dtype and args.to not in SMALL:
        raise ValueError(
            f"dtype {args.dtype} is for {', '.join(SMALL)}, and not for {args.to}; "
            "jaxsd convert --dtype does it for models"
        )
    config = read_run(Path(args.run))
    task = task_of(config)
    if args.to not in task.exports:
        raise ValueError(
            f"task {config.task!r} can not be exported as {args.to!r}: choose one of "
            f"{', '.join(task.exports)}"
        )
    place = Path(args.output or place_of(Path(args.run) / f"export-{args.to}", args.to))
    check_place(place.parent)
    step, trained = averaged_weights(config, task)
    if args.dtype:
        trained = {path: value.astype(DTYPES[args.dtype]) for path, value in trained.items()}
    task.exports[args.to](place, trained)
    print(f"{place}: step {step} of {config.steps}")
