"""Whatever opens a model takes the same options of reading it."""

import inspect
from dataclasses import fields

import pytest

from jaxsd.bulk.config import BulkConfig
from jaxsd.bulk.work import checked_work
from jaxsd.cli.arguments import parse
from jaxsd.cli.options import opened
from jaxsd.convert import open_model
from jaxsd.convert.conversion import open_conversion
from jaxsd.convert.reading import Reading
from jaxsd.convert.report import report
from jaxsd.pipeline import load, outline
from jaxsd.training.config import TrainConfig
from jaxsd.training.tasks import task_of

FLAGS = ["--no-ema", "--no-strict", "--prediction=v"]
READING = {"prediction": "v", "ema": False, "strict": False}
OPTIONS = [one.name for one in fields(Reading)]


@pytest.mark.parametrize(
    "command",
    [
        ["generate", "a"],
        ["compile"],
        ["info", "a"],
        ["convert", "a", "b"],
        ["workflow", "run", "a"],
    ],
)
def test_commands_have_the_options_of_reading(command):
    given = parse(["jaxsd", *command, *FLAGS])
    assert {name: getattr(given, name) for name in OPTIONS} == READING


@pytest.mark.parametrize("config", [BulkConfig, TrainConfig])
def test_runs_have_them_as_keys(config):
    assert set(OPTIONS) <= {one.name for one in fields(config)}


def test_open_model_has_them():
    assert set(OPTIONS) == set(inspect.signature(open_model).parameters) - {"source"}


def run_of(task: str) -> TrainConfig:
    return TrainConfig(task, "", "", 1, 1, 1.0, warmup_steps=0, model="a", **READING)


@pytest.mark.parametrize(
    ("module", "opening"),
    [
        ("pipeline.loading", lambda: load("a", **READING)),
        ("pipeline.loading", lambda: outline("a", **READING)),
        ("cli.options", lambda: opened(parse(["jaxsd", "compile", *FLAGS]))),
        ("convert.report", lambda: report("a", **READING)),
        ("convert.conversion", lambda: open_conversion("a", "b", **READING)),
        ("training.finetune", lambda: task_of(run_of("lora"))),
        ("training.autoencoder", lambda: task_of(run_of("vae"))),
        ("training.tiny_autoencoder", lambda: task_of(run_of("tiny-vae"))),
        ("bulk.work", lambda: checked_work(BULK, skip_bad_rows=False, say=print)),
    ],
)
def test_they_reach_the_reader(module, opening, monkeypatch):
    def asked(source, **reading):
        raise LookupError(reading)

    monkeypatch.setattr(f"jaxsd.{module}.open_model", asked)
    with pytest.raises(LookupError) as told:
        opening()
    assert told.value.args == (READING,)


BULK = BulkConfig(output="", rows="a.txt", model="a", **READING)
