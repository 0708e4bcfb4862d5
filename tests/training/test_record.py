"""What is read back of a run that was killed."""

import io
import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from tensorboardX import record_writer

from jaxsd.training.config import TrainConfig
from jaxsd.training.record import Record, draw_curves, read_metrics


def test_what_is_not_a_number_is_no_number(tmp_path: Path) -> None:
    record = Record(tmp_path, TrainConfig("lora", str(tmp_path), "", 1, 1, 1.0, warmup_steps=0), {})
    record.log(3, {"loss": np.float32(0.25), "loss_t000": np.float32("nan")})
    record.log(4, {"loss_t000": np.float32("nan")})
    record.close()
    assert read_metrics(tmp_path) == [{"step": 3, "loss": 0.25}]
    assert (tmp_path / "loss.png").is_file()


def test_losses_below_zero_are_drawn(tmp_path: Path) -> None:
    lines = [{"step": step, "loss": -step} for step in range(3)]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # no logarithm of what has none
        draw_curves(tmp_path)
    assert (tmp_path / "loss.png").is_file()


@pytest.mark.parametrize("full", ["metrics.jsonl", "tensorboard"])
def test_a_full_disk_is_an_error_that_names_the_file(full, tmp_path, monkeypatch) -> None:
    def opened(path: str) -> io.BufferedWriter:
        return io.BufferedWriter(io.FileIO("/dev/full", "w"))

    if full == "tensorboard":
        monkeypatch.setattr(record_writer, "open_file", opened)
    else:
        (tmp_path / full).symlink_to("/dev/full")
    record = Record(tmp_path, TrainConfig("lora", str(tmp_path), "", 1, 1, 1.0, warmup_steps=0), {})
    with pytest.raises(OSError, match=f"No space left on device: '{tmp_path}/{full}'"):
        record.log(1, {"loss": 1.0})


def test_of_a_step_that_was_done_twice_the_later_lines_count(tmp_path: Path) -> None:
    lines = [
        {"step": 1, "loss": 1},
        {"step": 2, "loss": 2},
        {"step": 2, "psnr": 20},  # after the checkpoint
        {"step": 3, "loss": 3},
        {"step": 3, "loss": 30},  # killed after step 3, gone on from 2
        {"step": 4, "loss": 40},
        {"step": 4, "psnr": 400},  # killed before the checkpoint was whole
        {"step": 3, "loss": 300},
        {"step": 4, "loss": 4000},
        {"step": 4, "psnr": 4},
        {"step": 4, "loss": 4},  # once more, from 3
    ]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    kept = [(line["step"], line.get("loss"), line.get("psnr")) for line in read_metrics(tmp_path)]
    assert kept == [(1, 1, None), (2, 2, None), (2, None, 20), (3, 300, None), (4, 4, None)]
