"""`jaxsd train CONFIG [key=value ...]`: runs or resumes a training run."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from jaxsd.cli.hosts import add_hosts, join_hosts

if TYPE_CHECKING:
    from jaxsd.training.config import TrainConfig
    from jaxsd.training.loop import OnSave, Task


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    parser.add_argument("config", help="a run, such as configs/train/lora-sd15.toml")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="replace its values")
    add_hosts(parser)


def main(args: argparse.Namespace) -> None:
    """Trains to the step that the run asks for; resumes where checkpoints are."""
    from jaxsd.training.config import read_config

    config = read_config(args.config, args.overrides)

    from tqdm import tqdm

    from jaxsd.cli.compilation import keep_compiled
    from jaxsd.folders import cache_folder, private
    from jaxsd.training.loop import train
    from jaxsd.training.tasks import task_of

    keep_compiled(private(cache_folder()), announce=tqdm.write)
    join_hosts(args)
    task = task_of(config)
    train(config, task, sheets(config, task) if config.samples else None)


def sheets(config: "TrainConfig", task: "Task") -> "OnSave":
    """Draws `config.samples` after each checkpoint: samples/STEP.png in the folder of the run.

    Raises:
      ValueError: the task trains nothing that draws.
    """
    from jaxsd.images import contact_sheet, write_png
    from jaxsd.pipeline import Pipeline

    if task.model is None:
        raise ValueError(f"task {config.task!r} draws no pictures; leave out samples")
    folder = Path(config.output) / "samples"

    def on_save(step: int, trained: dict) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        spec, params, tokenizers = task.model(trained)
        images = Pipeline(spec, params, tokenizers, config.dtype).text_to_image(config.samples)
        write_png(folder / f"{step:06d}.png", contact_sheet(images))

    return on_save
