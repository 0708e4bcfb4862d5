"""Trains three steps on meshes of one and of eight devices; prints what came of it as JSON."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
from tiny_runs import tiny_model, tiny_pictures

from jaxsd.parallel import mesh_of
from jaxsd.training import loop
from jaxsd.training.config import TrainConfig
from jaxsd.training.record import read_metrics
from jaxsd.training.tasks import task_of

MESHES = {"one": (1, 1, 1), "eight": (2, 4, 1)}


def main(root: Path) -> None:
    """Runs each mesh from the same start."""
    config = TrainConfig(
        task="finetune",
        output="",
        data=str(tiny_pictures(root / "data", 8)),
        model=str(tiny_model(root / "model")),
        steps=3,
        batch_size=8,
        learning_rate=1e-3,
        warmup_steps=0,
        log_every=1,
    )
    task, found = task_of(config), {}
    for name, shape in MESHES.items():
        devices = jax.devices()[: int(np.prod(shape))]
        loop.mesh_of = lambda shape, devices=devices: mesh_of(shape, devices)
        run = replace(config, output=str(root / name), mesh=shape)
        loop.train(run, task)
        state = jax.eval_shape(
            lambda key: loop.initial_state(task.start(key), loop.optimizer(config)),
            jax.random.key(0),
        )
        places = loop.shardings(state, mesh_of(shape, devices))
        sizes = jax.tree.map(
            lambda leaf, place: int(np.prod(place.shard_shape(leaf.shape))) * 4, state, places
        )
        found[name] = {
            "losses": [line["loss"] for line in read_metrics(root / name)],
            "bytes": sum(jax.tree.leaves(sizes)),
        }
    print(json.dumps(found))


main(Path(sys.argv[1]))
