"""`jaxsd train CONFIG [key=value ...]`: runs or resumes a training run."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from jaxsd.benchmark.jobs import MODELS
from jaxsd.cli.hosts import add_hosts, join_hosts
from jaxsd.cli.progress import keep_programs
from jaxsd.writing import check_place

if TYPE_CHECKING:
    from jaxsd.training.config import TrainConfig


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    parser.add_argument("config", help="a run, such as configs/train/lora-sd15.toml")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="replace its values")
    parser.add_argument(
        "--for",
        dest="target",
        metavar="CHIP:SIDES",
        help="for TPUs that are not here, such as v5e:4x4: says what the compiler says of a step, "
        f"and trains nothing; model may be one of {', '.join(MODELS)}, whose shapes are known",
    )
    add_hosts(parser)


def main(args: argparse.Namespace) -> None:
    """Trains to the last step of the run; resumes from the latest checkpoint if there is one."""
    from jaxsd.training.config import read_config
    from jaxsd.training.resuming import refuse_other_run

    config = read_config(args.config, args.overrides)
    if args.target is not None:
        print(compiled_for(args.target, config))
        return
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


def compiled_for(target: str, config: "TrainConfig") -> str:
    """What the compiler says of a step on the chips of a topology, as a table in Markdown.

    Raises:
      ValueError: no such topology, or a run that cannot be compiled for it.
    """
    from jaxsd.benchmark import targets
    from jaxsd.benchmark.cards import CARDS
    from jaxsd.benchmark.compiled import CHIPS, facts, table
    from jaxsd.parallel import mesh_of
    from jaxsd.pipeline import outline
    from jaxsd.training.lowering import check_lowered, lowered

    if target.partition(":")[0] in CARDS:
        raise ValueError(f"--for {target}: training is compiled for TPUs alone, such as v5e:4x4")
    check_lowered(config)
    mesh, chip = mesh_of(config.mesh, targets.devices_of(target)), targets.chip_of(target)
    if known := MODELS.get(config.model):
        pipe = targets.shapes_only(known, config.dtype)
    else:
        pipe = outline(config.model, config.dtype, **config.reading)
    found = [facts(*program) for program in lowered(config, pipe.spec, pipe.params, mesh)]
    side = config.resolution or pipe.spec.default_size
    return (
        f"{config.task}, batch_size {config.batch_size} of {side}x{side}, accumulate "
        f"{config.accumulate}, remat {config.remat!r}, on {mesh.size} {chip}, mesh "
        f"{dict(mesh.shape)}\n\n{table(found, CHIPS[chip])}"
    )
