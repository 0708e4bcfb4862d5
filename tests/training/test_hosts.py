"""Several processes as several hosts: each reads its share, and the losses are those of one."""

import argparse
import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest
from forked import Forked
from tiny_runs import curve, final_state, programs, run_toml, tiny_model, tiny_pictures

from jaxsd.cli.hosts import add_hosts, join_hosts
from jaxsd.training.config import TrainConfig

PATIENCE = 1800.0
"""Seconds for a run, where others use the processor too."""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--coordinator", "127.0.0.1:1234"], "--coordinator, --hosts and --host belong together"),
        (["--host", "1"], "--coordinator, --hosts and --host belong together"),
        (
            ["--coordinator", "127.0.0.1:1234", "--hosts", "2", "--host", "2"],
            "the hosts can not be joined: ",
        ),
    ],
)
def test_hosts_that_make_no_sense_are_one_line(words: list[str], message: str) -> None:
    parser = argparse.ArgumentParser()
    add_hosts(parser)
    with pytest.raises(ValueError, match=message):
        join_hosts(parser.parse_args(words))


class Hosts:
    """A run on two hosts, whose output is the folder of that name."""

    def __init__(self, folder: Path, program: Callable[..., Forked]) -> None:
        self.config = TrainConfig(
            task="finetune",
            output="",
            data=str(tiny_pictures(folder / "data", 5)),
            model=str(tiny_model(folder / "model")),
            steps=24,
            batch_size=4,
            learning_rate=1e-3,
            warmup_steps=0,
            trainable=(r"unet/conv_in/.*", r"unet/.*attn2/to_q.*", r"text/0/.*fc1/.*"),
            mesh=(1, 2, 1),
            save_every=24,
            log_every=1,
        )
        self.folder, self._program = folder, program
        self._command = ("train", run_toml(self.config, folder / "run.toml"))

    def start(self, name: str) -> list[Forked]:
        """Both; what they say is in `said`."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{free.getsockname()[1]}"
        joined = (f"output={self.folder / name}", "--coordinator", address, "--hosts", "2")
        return [self._one(name, i, *joined, "--host", i) for i in (0, 1)]

    def alone(self, name: str) -> Forked:
        """One host with as many devices."""
        return self._one(name, 0, f"output={self.folder / name}", devices=2)

    def said(self, name: str, host: int) -> Path:
        return self.folder / f"said {name} {host}"

    def finish(self, name: str, hosts: list[Forked]) -> None:
        for i, host in enumerate(hosts):
            assert host.wait(PATIENCE) == 0, self.said(name, i).read_text()

    def _one(self, name: str, i: int, *words: object, devices: int = 1) -> Forked:
        environment = {
            "JAX_NUM_CPU_DEVICES": str(devices),
            "JAX_COMPILATION_CACHE_DIR": os.environ["XDG_CACHE_HOME"],
        }
        return self._program(*self._command, *words, errors=self.said(name, i), **environment)


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    """With a run named "whole" that nothing stopped."""
    with programs() as program:
        two = Hosts(tmp_path_factory.mktemp("hosts"), program)
        two.finish("whole", two.start("whole"))
        yield two


@pytest.mark.release
def test_two_hosts_give_the_losses_of_one(hosts: Hosts) -> None:
    hosts.finish("one", [hosts.alone("one")])
    got, want = curve(hosts.folder / "whole"), curve(hosts.folder / "one")
    assert [line["step"] for line in got] == [line["step"] for line in want] == list(range(1, 25))
    for a, b in zip(got[:10], want[:10], strict=True):
        # The order of float32 sums differs, and AdamW's first steps divide by small numbers.
        assert a == pytest.approx(b, rel=1e-4, abs=1e-5)
    assert len({line["loss"] for line in want}) == 24
    run = json.loads((hosts.folder / "whole" / "run.json").read_text())
    assert run["devices"] == ["cpu", "cpu"]
    assert (hosts.folder / "whole" / "model").is_dir()
    assert "step/s" in hosts.said("whole", 0).read_text()
    assert "step/s" not in hosts.said("whole", 1).read_text()


@pytest.mark.release
def test_sigterm_to_one_host_stops_both_after_one_step(hosts: Hosts) -> None:
    metrics, saved = (hosts.folder / "parts" / name for name in ("metrics.jsonl", "checkpoints"))
    both, started = hosts.start("parts"), time.monotonic()
    while not (metrics.is_file() and metrics.read_text().count("\n") > 2):
        assert both[1].poll() is None, hosts.said("parts", 1).read_text()
        assert time.monotonic() - started < PATIENCE
        time.sleep(0.01)
    both[1].send_signal(signal.SIGTERM)
    hosts.finish("parts", both)
    (step,) = (int(path.name) for path in saved.iterdir())
    assert 2 < step < 24
    assert f"stopped after step {step};" in hosts.said("parts", 0).read_text()
    assert [line["step"] for line in curve(metrics.parent)] == list(range(1, step + 1))
    assert not (hosts.folder / "parts" / "model").exists()

    hosts.finish("parts", hosts.start("parts"))
    assert curve(hosts.folder / "parts") == curve(hosts.folder / "whole")
    runs = (replace(hosts.config, output=str(hosts.folder / name)) for name in ("parts", "whole"))
    for a, b in zip(*(jax.tree.leaves(final_state(run)) for run in runs), strict=True):
        np.testing.assert_array_equal(a, b)
