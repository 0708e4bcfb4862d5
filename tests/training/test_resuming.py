"""A run goes on only as the run that it was."""

import json
import logging
import sys
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from jaxsd.checkpoint import Checkpoints
from jaxsd.training.config import LoraConfig, TrainConfig
from jaxsd.training.resuming import MAY_CHANGE, places_of, read_run, refuse_other_run


@pytest.fixture
def begun(tmp_path: Path) -> TrainConfig:
    """A run with a checkpoint of step 4."""
    config = TrainConfig("lora", str(tmp_path / "run"), "data", 9, 2, 1e-3, warmup_steps=0)
    (tmp_path / "run/checkpoints/4").mkdir(parents=True)
    (tmp_path / "run/run.json").write_text(json.dumps({"config": asdict(config)}))
    return config


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (
            {"lora": LoraConfig(rank=4)},
            "a run with lora.rank 8, which is now 4; only steps, ",
        ),
        ({"model": "other"}, 'a run with model not set, which is now "other"'),
        ({"prediction": "v"}, 'a run with prediction not set, which is now "v"'),
        ({"optimizer": "muon"}, 'with optimizer "adamw", which is now "muon"'),
        ({"batch_size": 4}, "with batch_size 2, which is now 4"),
        ({"task": "finetune", "seed": 1}, 'with task "lora", which is now "finetune"'),
        ({"steps": 3}, "has done 4 steps already; raise steps 3"),
    ],
)
def test_another_run_is_refused_in_a_line(begun, change, complaint):
    with pytest.raises(ValueError, match=complaint) as error:
        refuse_other_run(replace(begun, **change))
    assert "\n" not in str(error.value)


def test_what_may_change_may_change(begun):
    assert set(MAY_CHANGE) <= asdict(begun).keys()
    refuse_other_run(replace(begun, steps=20, learning_rate=1e-4, data="elsewhere", keep=5))


def test_without_a_checkpoint_there_is_nothing_to_go_on_from(begun):
    (Path(begun.output) / "checkpoints/4").rename(Path(begun.output) / "checkpoints/4.tmp")
    refuse_other_run(replace(begun, lora=LoraConfig(rank=4)))


def test_a_run_that_was_moved_is_where_it_is_now(begun, tmp_path):
    (tmp_path / "run").rename(tmp_path / "moved")
    assert read_run(tmp_path / "moved") == replace(begun, output=str(tmp_path / "moved"))
    refuse_other_run(replace(begun, output=str(tmp_path / "moved")))


def test_a_model_that_was_moved_is_the_same_one(begun, tmp_path):
    """A folder or a file, wherever it lies; changed in place or elsewhere, it is another."""
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    (old / "config.json").write_text("{}")
    weights = np.random.default_rng(0).bytes(10**7)
    (old / "model.safetensors").write_bytes(weights)
    (old / "README.md").write_text("of no matter")
    config = replace(begun, model=str(old), controlnet=str(old / "model.safetensors"))
    record = {"config": asdict(config), "places": places_of(config)}
    (tmp_path / "run/run.json").write_text(json.dumps(record))
    old.rename(new)
    (new / "README.md").unlink()
    moved = replace(config, model=str(new), controlnet=str(new / "model.safetensors"))
    refuse_other_run(moved)
    (new / "model.safetensors").write_bytes(bytes(10**6) + weights[10**6 :])
    with pytest.raises(ValueError, match=r"holds a run with model .*old"):
        refuse_other_run(moved)
    with pytest.raises(ValueError, match=r"with model .*old.* is now .*nowhere"):
        refuse_other_run(replace(moved, model=str(tmp_path / "nowhere")))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"config": 3}', '{"config": {"taks": "lora"}}'])
def test_a_damaged_record_is_named(begun, text):
    path = Path(begun.output) / "run.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=str(path)):
        refuse_other_run(begun)


def test_a_checkpoint_that_can_not_be_written_is_one_line(tmp_path, monkeypatch, caplog):
    shown: list[SimpleNamespace] = []
    monkeypatch.setattr(sys, "unraisablehook", shown.append)
    checkpoints = Checkpoints(tmp_path)

    def full(*_: object, **__: object) -> None:
        raise ValueError('RESOURCE_EXHAUSTED: Error writing "a"\nNo space left on device')

    monkeypatch.setattr(checkpoints._manager, "save", full)
    line = f"a checkpoint in {tmp_path} can not be written: No space left on device; the same"
    with pytest.raises(OSError, match=line):
        checkpoints.save(3, {"a": np.zeros(2)})
    log = logging.getLogger("absl")
    log.handle(log.makeRecord("absl", logging.ERROR, "/orbax/x.py", 1, "traceback", (), None))
    assert "traceback" not in caplog.text
    for said in ("Event loop is closed", "another"):  # of TensorStore's threads, and of others
        sys.unraisablehook(SimpleNamespace(exc_value=RuntimeError(said)))
    assert [str(one.exc_value) for one in shown] == ["another"]
    monkeypatch.setattr("shutil.disk_usage", lambda place: SimpleNamespace(free=10**6))
    with pytest.raises(OSError, match=r"needs 1\.2 MB, and 1\.0 are free; make room, and"):
        checkpoints.save(3, {"a": np.zeros(150_000)})
    checkpoints.close()


def test_a_checkpoint_of_other_arrays_and_a_damaged_one_are_named(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(3, {"a": np.zeros((2, 3), np.float32)})
    checkpoints.close()
    checkpoints = Checkpoints(tmp_path)

    def like(**shapes: tuple[int, ...]) -> dict[str, jax.ShapeDtypeStruct]:
        return {name: jax.ShapeDtypeStruct(shape, "float32") for name, shape in shapes.items()}

    assert checkpoints.restore(like(a=(2, 3)))["a"].shape == (2, 3)
    with pytest.raises(ValueError, match=r"a was \(2, 3\) and is \(2, 4\); begin anew"):
        checkpoints.restore(like(a=(2, 4)))
    with pytest.raises(ValueError, match=r"b was not there and is \(1,\); begin anew"):
        checkpoints.restore(like(a=(2, 3), b=(1,)))
    for path in tmp_path.rglob("*"):
        if path.is_file() and path.stat().st_size and "metadata" not in path.name.lower():
            path.write_bytes(path.read_bytes()[:-1] + b"\xff")
    with pytest.raises(ValueError, match=f"checkpoint {tmp_path}/3 is damaged; remove it"):
        checkpoints.restore(like(a=(2, 3)))
    checkpoints.close()
