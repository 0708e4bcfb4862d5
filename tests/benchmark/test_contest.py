"""Workers side by side: turns, warm-up, and those that have to be left out."""

import shlex
import sys
from pathlib import Path

import pytest

from jaxsd.benchmark.contest import contest
from jaxsd.benchmark.jobs import Job

JOB = Job("emoji", "unet", "float32", 1, 128, 1)

WORKER = """
import json, sys
print("x" * 200_000, file=sys.stderr)
name, log, fails = sys.argv[1:]
runs = 0
for line in sys.stdin:
    message = json.loads(line)
    if "job" in message:
        answer = {"compile": 1.5, "versions": "0", "size": message["job"]["size"]}
        answer = {"left_out": "not installed"} if fails == "says" else answer
        if fails == "jokes":
            answer = print("ready")
        if fails == "steers":
            sys.exit("\\x1b[31mred")
    elif "run" in message:
        if fails == "dies" and runs == 1 or fails == "tires" and runs == 3:
            sys.exit("out of memory")
        runs += 1
        if fails == "talks" and runs == 3:
            print("Loading ...", flush=True)
        answer = {"seconds": float(runs)}
        open(log, "a").write(name)
    else:
        answer = {} if fails == "forgets" else {"peak": 7}
    print(json.dumps(answer), flush=True)
"""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    (tmp_path / "worker.py").write_text(WORKER)
    return tmp_path / "log"


def worker(log: Path, name: str, fails: str = "never") -> str:
    return shlex.join([sys.executable, str(log.parent / "worker.py"), name, str(log), fails])


def test_workers_take_turns_after_two_runs_of_warming_up(log):
    said = []
    results = contest(JOB, {name: worker(log, name) for name in "ab"}, 3, said.append)
    assert log.read_text() == "aabb" + "ab" + "ba" + "ab"
    for result in results:
        assert result.seconds == [3.0, 4.0, 5.0]
        assert (result.median, result.compile, result.peak) == (4.0, 1.5, 7)
        assert result.about == {"versions": "0", "size": 128}
    assert said == ["a: 4 s", "b: 4 s"]


@pytest.mark.parametrize(
    ("fails", "why"),
    [
        ("says", "not installed"),
        ("dies", "out of memory"),
        ("tires", "out of memory"),
        ("talks", "its answer is not JSON: Expecting value at column 1: Loading ..."),
        ("forgets", "peak is None, it must be of type float: {}"),
        ("jokes", "its answer is not JSON"),
        ("steers", r"\x1b[31mred"),
        ("missing", ""),
    ],
)
def test_who_cannot_run_is_left_out_with_a_word(log, fails, why):
    commands = {"a": worker(log, "a"), "b": worker(log, "b", fails)}
    if fails == "missing":
        commands["b"] = "/no/such/python worker.py"
        why = "/no/such/python"
    said = []
    good, bad = contest(JOB, commands, 2, said.append)
    assert good.seconds == [3.0, 4.0]
    assert why in bad.left_out
    assert f"b is left out: {bad.left_out}" in said
