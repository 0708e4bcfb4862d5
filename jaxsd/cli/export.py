"""`jaxsd export RUN --to FORMAT`: what a run has learnt, for other programs."""

import argparse
from pathlib import Path

from jaxsd.writing import check_place


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
    parser.add_argument("-o", "--output", metavar="PLACE", help="default: RUN/export-FORMAT")


def main(args: argparse.Namespace) -> None:
    """Writes the averaged weights of the latest checkpoint.

    Raises:
      ValueError: a format that the task does not have.
      FileNotFoundError: no such run, or one without a checkpoint.
    """
    from jaxsd.training.exports import place_of
    from jaxsd.training.loop import averaged_weights
    from jaxsd.training.resuming import read_run
    from jaxsd.training.tasks import task_of

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
    task.exports[args.to](place, trained)
    print(f"{place}: step {step} of {config.steps}")
