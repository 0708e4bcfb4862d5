"""`jaxsd train CONFIG [key=value ...]`: runs or resumes a training run."""

import argparse
from pathlib import Path

from jaxsd.cli.hosts import add_hosts, join_hosts
from jaxsd.cli.progress import keep_programs
from jaxsd.writing import check_place


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    parser.add_argument("config", help="a run, such as configs/train/lora-sd15.toml")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="replace its values")
    add_hosts(parser)


def main(args: argparse.Namespace) -> None:
    """Trains to the last step of the run; resumes from the latest checkpoint if there is one."""
    from jaxsd.training.config import read_config
    from jaxsd.training.resuming import refuse_other_run

    config = read_config(args.config, args.overrides)
    refuse_other_run(config)
    check_place(Path(config.output))

    from jaxsd.training.loop import train
    from jaxsd.training.sheets import sheets
    from jaxsd.training.tasks import check_run, task_of

    keep_programs()
    join_hosts(args)
    check_run(config)
    task = task_of(config)
    train(config, task, sheets(config, task))
