"""A tiny model on disk and a few captioned pictures, to train with."""

import json
from dataclasses import MISSING, fields, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_models import TINY, pipeline_params

from jaxsd.cli.main import run
from jaxsd.config import Level, VAEConfig
from jaxsd.convert import write_diffusers
from jaxsd.text import Tokenizer, clip_vocabulary, vocabulary_of
from jaxsd.training.config import TrainConfig
from jaxsd.training.record import read_metrics

TINY_VAE = VAEConfig(channels=(8, 8), resnets=1, norm_groups=4)


def tiny_model(folder: Path) -> Path:
    """An SD-shaped model of one level with its own small vocabulary, as a diffusers folder."""
    vocabulary = vocabulary_of(clip_vocabulary().merges[:100])
    base = TINY["sd1"]
    text = replace(base.text[0], vocab_size=614, pad_token=613, layers=1)
    unet = replace(base.unet, levels=(Level(32, 1, 1, 2),))
    spec = replace(base, unet=unet, vae=TINY_VAE, text=(text,), default_size=16)
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


def curve(folder: Path) -> list[dict[str, float]]:
    """The lines of metrics.jsonl, but for how fast the run was."""
    lines = read_metrics(folder)
    return [{k: v for k, v in line.items() if k != "images_per_second"} for line in lines]
