"""Several processes as several hosts: each reads its share, and the losses are those of one."""

import argparse
import json
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_runs import curve, run_toml, tiny_model, tiny_pictures

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


@pytest.mark.slow
def test_two_hosts_give_the_losses_of_one(
    tmp_path: Path, program: Callable[..., subprocess.Popen]
) -> None:
    config = TrainConfig(
        task="finetune",
        output=str(tmp_path / "two"),
        data=str(tiny_pictures(tmp_path / "data", 5)),
        model=str(tiny_model(tmp_path / "model")),
        steps=6,
        batch_size=4,
        learning_rate=1e-3,
        warmup_steps=0,
        trainable=(r"unet/conv_in/.*", r"unet/.*attn2.*", r"text/0/.*fc1/.*"),
        mesh=(1, 2, 1),
        save_every=3,
        log_every=1,
    )
    command = ("train", run_toml(config, tmp_path / "run.toml"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    said = [tmp_path / name for name in ("said 0", "said 1", "said")]
    joined = (*command, "--coordinator", address, "--hosts", "2", "--host")
    hosts = [program(*joined, i, errors=said[i], JAX_NUM_CPU_DEVICES="1") for i in (0, 1)]
    for host, errors in zip(hosts, said, strict=False):
        assert host.wait(PATIENCE) == 0, errors.read_text()
    one = program(*command, f"output={tmp_path / 'one'}", errors=said[2], JAX_NUM_CPU_DEVICES="2")
    assert one.wait(PATIENCE) == 0, said[2].read_text()

    got, want = curve(tmp_path / "two"), curve(tmp_path / "one")
    assert [line["step"] for line in got] == [line["step"] for line in want] == list(range(1, 7))
    for a, b in zip(got, want, strict=True):
        # The order of float32 sums differs, and AdamW's first steps divide by small numbers.
        assert a == pytest.approx(b, rel=1e-4, abs=1e-5)
    assert len({line["loss"] for line in want}) == 6
    assert json.loads((tmp_path / "two" / "run.json").read_text())["devices"] == ["cpu", "cpu"]
    assert (tmp_path / "two" / "model").is_dir()
    assert "step/s" in said[0].read_text()
    assert "step/s" not in said[1].read_text()
