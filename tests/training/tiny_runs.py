"""A tiny model on disk and a few captioned pictures, to train with."""

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import MISSING, fields, replace
from pathlib import Path

import jax
import numpy as np
import pytest
from forked import Forked
from PIL import Image
from tiny_models import TINY, pipeline_params

from jaxsd.checkpoint import Checkpoints
from jaxsd.cli.main import run
from jaxsd.config import Level, VAEConfig
from jaxsd.convert import write_diffusers
from jaxsd.text import Tokenizer, clip_vocabulary, vocabulary_of
from jaxsd.training.config import TrainConfig
from jaxsd.training.optimizer import optimizer
from jaxsd.training.record import read_metrics
from jaxsd.training.step import TrainState, initial_state
from jaxsd.training.tasks import task_of

TINY_VAE = VAEConfig(channels=(8, 8), resnets=1, norm_groups=4)


def tiny_model(folder: Path) -> Path:
    """An SD-shaped model of one level with its own small vocabulary, as a diffusers folder."""
    return small_model(folder, (Level(32, 1, 0, 2),), TINY_VAE)


def tiny_sd15(folder: Path) -> Path:
    """SD 1.5 with one of its four levels, a tenth as wide, with one resnet."""
    return small_model(folder, (Level(32, 1, 1, 8),), TINY["sd1"].vae)


def small_model(folder: Path, levels: tuple[Level, ...], vae: VAEConfig) -> Path:
    """A model like SD 1.5 for pictures of 8 x 8 latents, as a diffusers folder."""
    vocabulary = vocabulary_of(clip_vocabulary().merges[:100])
    base = TINY["sd1"]
    text = replace(base.text[0], vocab_size=614, pad_token=613, layers=1)
    unet = replace(base.unet, levels=levels)
    size = 8 * vae.downscale
    spec = replace(base, unet=unet, vae=vae, text=(text,), default_size=size)
    tokenizer = Tokenizer(vocabulary, text.max_length, text.pad_token)
    write_diffusers(folder, spec, pipeline_params(spec), tokenizers=[tokenizer])
    return folder


def tiny_pictures(folder: Path, count: int) -> Path:
    """Pictures 64 wide and from 40 up in steps of 8 high: "thing 0", "thing 1", ..."""
    folder.mkdir(parents=True, exist_ok=True)
    rng, lines = np.random.default_rng(0), []
    for i in range(count):
        pixels = rng.integers(0, 256, (40 + 8 * i, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
        lines.append(json.dumps({"file_name": f"{i}.png", "text": f"thing {i}"}))
    (folder / "metadata.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def run_toml(config: TrainConfig, path: Path, **more: object) -> Path:
    """A configuration file that reads as `config`, but for its tables, with `more`."""
    values = {
        field.name: getattr(config, field.name)
        for field in fields(config)
        if field.default is MISSING or getattr(config, field.name) != field.default
    }
    lines = (values | more).items()
    path.write_text(
        "".join(f"{name} = {json.dumps(value)}\n" for name, value in lines if value != {})
    )
    return path


def jaxsd(*argv: object) -> None:
    """The program, which is to end well."""
    with pytest.raises(SystemExit) as end:
        run([str(word) for word in argv])
    assert end.value.code is None


@contextlib.contextmanager
def programs() -> Iterator[Callable[..., Forked]]:
    """What starts `jaxsd` in a process of its own; what it says is in the file `errors`."""
    begun: list[Forked] = []

    def start(*argv: object, errors: Path, **environment: str) -> Forked:
        begun.append(Forked(*argv, environment=environment, errors=errors))
        return begun[-1]

    yield start
    for process in begun:
        process.kill()
        process.wait()


def final_state(config: TrainConfig) -> TrainState:
    """What a finished run has saved, on one device."""
    task = task_of(config)
    like = jax.eval_shape(
        lambda key: initial_state(task.start(key), optimizer(config)), jax.random.key(0)
    )
    saved = Checkpoints(Path(config.output) / "checkpoints")
    state = saved.restore(like)
    saved.close()
    assert int(state.step) == config.steps
    return state


def curve(folder: Path) -> list[dict[str, float]]:
    """The lines of metrics.jsonl, but for how fast the run was."""
    lines = read_metrics(folder)
    return [{k: v for k, v in line.items() if k != "images_per_second"} for line in lines]
