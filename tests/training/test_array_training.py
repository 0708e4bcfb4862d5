"""Task "arrays": its loss by hand, and tiny runs whose models draw and forecast."""

import json
import re
import shlex
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
import pytest
from tiny_runs import jaxsd

from jaxsd.arrays.model import read_arrays
from jaxsd.training.arrays import (
    Batch,
    arrays_loss,
    arrays_task,
    batch_of,
    masks,
    new_spec,
    noising_of,
)
from jaxsd.training.config import ArraysConfig, LossConfig, TrainConfig
from jaxsd.training.loop import train
from jaxsd.training.record import read_metrics

TINY = ArraysConfig(channels=(8,), heads=2)
ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/arrays.md").read_text(encoding="utf-8")
SMALL = ("steps=2", "warmup_steps=1", "decay_steps=0", "arrays.channels=[8]", "arrays.heads=2")


@pytest.fixture
def config(tmp_path: Path) -> TrainConfig:
    """A run of a few steps on waves."""
    phase = np.random.default_rng(0).uniform(0, 6, (60, 1))
    rows = 100 + 10 * np.stack([np.sin(np.arange(6) + phase), np.cos(np.arange(6) + phase)], -1)
    np.save(tmp_path / "waves.npy", rows)
    return TrainConfig(
        task="arrays",
        data=str(tmp_path / "waves.npy"),
        output=str(tmp_path / "run"),
        steps=8,
        batch_size=16,
        learning_rate=2e-2,
        warmup_steps=1,
        ema_decay=0.0,
        log_every=1,
        arrays=TINY,
    )


def test_the_loss_is_of_what_is_not_known(config: TrainConfig) -> None:
    """A network that gives 0 for x0 has an error of x0 squared, whatever the noise."""
    config = replace(config, loss=LossConfig(prediction="sample"))
    spec = new_spec(config, np.load(config.data))
    sees = SimpleNamespace(in_channels=6, out_channels=2)
    nothing = SimpleNamespace(config=sees, apply=lambda params, x, t, text: 0 * x[..., :2])
    rng = np.random.default_rng(0)
    x0 = rng.standard_normal((4, 6, 1, 2)).astype(np.float32)
    mask = masks(config, spec, 4, rng)
    loss, _ = arrays_loss(
        nothing, noising_of(config, spec), {}, {}, Batch(x0, mask), jax.random.key(0)
    )
    wanted = [(row[known == 0] ** 2).mean() for row, known in zip(x0, mask, strict=True)]
    np.testing.assert_allclose(loss, np.mean(wanted), rtol=1e-5)


def test_beginnings_of_all_lengths_are_told(config: TrainConfig) -> None:
    spec = new_spec(config, np.load(config.data))
    mask = masks(config, spec, 4_000, np.random.default_rng(0))[:, :, 0]
    assert (mask[..., 0] == mask[..., 1]).all()
    assert (np.diff(mask[..., 0]) <= 0).all()  # known, then not
    lengths = np.bincount(mask[..., 0].sum(1).astype(int), minlength=7) / 4_000
    np.testing.assert_allclose(lengths, [0.1, *[0.18] * 5, 0], atol=0.025)
    none = replace(config, arrays=replace(TINY, told=0.0))
    assert not masks(none, new_spec(none, np.load(config.data)), 50, np.random.default_rng(0)).any()


def test_a_batch_depends_on_seed_and_number_and_hosts_take_their_rows(config: TrainConfig) -> None:
    rows = np.load(config.data)
    spec = new_spec(config, rows)
    own = partial(batch_of, config, spec, spec.standardised(rows))
    whole, parts = own(3, slice(0, 16)), [own(3, slice(0, 8)), own(3, slice(8, 16))]
    for name in Batch._fields:
        np.testing.assert_array_equal(
            getattr(whole, name), np.concatenate([getattr(part, name) for part in parts])
        )
    assert (own(4, slice(0, 16)).x0 != whole.x0).any()


@pytest.mark.release
def test_a_run_goes_on_with_the_mean_that_it_began_with(
    config: TrainConfig, tmp_path: Path
) -> None:
    few = replace(config, steps=5)
    train(few, arrays_task(few))
    begun = json.loads((tmp_path / "run/run.json").read_text())["arrays"]
    assert abs(begun["mean"][0] - 100) < 1
    np.save(tmp_path / "waves.npy", np.load(config.data) + 5)
    task = arrays_task(config)
    assert task.about["arrays"]["mean"] == tuple(begun["mean"])
    train(config, task)
    lines = read_metrics(tmp_path / "run")
    losses = [line["loss"] for line in lines if "loss" in line]
    assert len(losses) == 8
    assert np.mean(losses[3:5]) < np.mean(losses[:2])
    assert np.isfinite(lines[-1]["held_out_loss"])
    assert read_arrays(tmp_path / "run/model").spec.mean == tuple(begun["mean"])


@pytest.mark.slow
def test_the_example_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of its lines, with a smaller network and few steps."""
    first, second = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, Any] = {}
    monkeypatch.chdir(tmp_path)
    exec(first, names)
    for line in re.findall(r"^jaxsd .*arrays[_-]waves.*$", PAGE, re.MULTILINE):
        command, given, *rest = shlex.split(line)[1:]
        small = SMALL if command == "train" else ("--steps", 2)
        jaxsd(command, ROOT / given if command == "train" else given, *rest, *small)
    waves, new, futures = (np.load(f"{name}.npy") for name in ("waves", "new", "futures"))
    assert new.shape == (256, 16, 2)
    assert futures.shape == (2, *waves.shape)
    past = np.broadcast_to(waves[:, :8].astype(np.float32), futures[:, :, :8].shape)
    np.testing.assert_array_equal(futures[:, :, :8], past)
    assert np.ptp(futures[:, :, 8:], axis=0).min() > 0
    exec(second, names)
    assert np.isfinite([names["error"], names["covered"]]).all()


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"data": "none.npy"}, "no file none.npy"),
        ({"arrays": replace(TINY, channels=(8, 9))}, "heads = 2 does not divide channels = 9"),
        ({"arrays": replace(TINY, heads=3)}, "heads = 3 does not divide channels = 8"),
        ({"arrays": replace(TINY, time_axis=3)}, r"time_axis is 3, and data \['N', 6, 2\]"),
    ],
)
def test_what_can_not_be_trained_is_one_line(
    config: TrainConfig, changes: dict[str, Any], line: str
) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=line) as raised:
        arrays_task(replace(config, **changes))
    assert "\n" not in str(raised.value)


def test_rows_of_another_shape_do_not_go_on(config: TrainConfig, tmp_path: Path) -> None:
    task = arrays_task(config)
    (tmp_path / "run/checkpoints/5").mkdir(parents=True)
    (tmp_path / "run/run.json").write_text(json.dumps(dict(task.about)))
    np.save(tmp_path / "waves.npy", np.random.default_rng(0).random((9, 7, 2)))
    with pytest.raises(ValueError, match=r"have the shape \[7, 2\], and those that .* \[6, 2\]"):
        arrays_task(config).batches()
    (tmp_path / "run/run.json").write_text('{"arrays": {"shape": 3}}')
    with pytest.raises(ValueError, match=r"run\.json is damaged: arrays: "):
        arrays_task(config)
