"""`jaxsd train CONFIG [key=value ...]`: runs or resumes a training run."""

import argparse


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    parser.add_argument("config", help="a run, such as configs/train/emoji_unet.toml")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="replace its values")


def main(args: argparse.Namespace) -> None:
    """Trains to the step that the run asks for; resumes where checkpoints are."""
    from jaxsd.training.config import read_config
    from jaxsd.training.tasks import TASKS

    config = read_config(args.config, args.overrides)
    if config.task not in TASKS:
        raise ValueError(f"task {config.task!r} is unknown: choose one of {', '.join(TASKS)}")

    from tqdm import tqdm

    from jaxsd.cli.compilation import cache_folder, keep_compiled, private
    from jaxsd.training.loop import train

    keep_compiled(private(cache_folder()), announce=tqdm.write)
    train(config, TASKS[config.task](config))
