"""`jaxsd bench`: what it refuses before anything runs."""

import json

import pytest

from jaxsd.benchmark.contest import Result
from jaxsd.cli.arguments import parse
from jaxsd.cli.bench import _jobs
from jaxsd.cli.main import run


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--rounds", "0"], "--rounds 0 is not a number above 0"),
        (["--size", "100"], "--size 100 is not a multiple of 8 pixels above 0"),
        (
            ["--size", "800000"],
            "165760 GB of memory are the least for 1 picture of 800000 x 800000",
        ),
        (["--peer", "torch"], "--peer 'torch' is not NAME=COMMAND"),
        (["--peer", "a\x1b=b"], "--peer 'a\\x1b=b' is not NAME=COMMAND"),
        (["--steps", "1001"], "--steps 1001 is more than the 1000 noise levels there are"),
        (["--peer", "a='b"], """--peer "a='b" has a quote that is not closed"""),
        (["--peer", "jaxsd=b"], "--peer 'jaxsd=b': the name 'jaxsd' is taken; choose another"),
        (["--peer", "a=b", "--peer", "a=c"], "--peer 'a=c': the name 'a' is taken; choose another"),
        (["-o", "/dev/null/a"], "[Errno 20] Not a directory: '/dev/null'"),
    ],
)
def test_a_mistake_is_one_line(arguments, complaint, capsys):
    with pytest.raises(SystemExit) as ended:
        run(["bench", *arguments])
    assert ended.value.code == 2
    line = capsys.readouterr().err
    assert line.startswith(f"jaxsd bench: {complaint}")
    assert line.count("\n") == 1


def test_quick_is_the_built_in_model_and_a_small_sd15():
    jobs = _jobs(parse(["jaxsd", "bench", "--quick"]))
    assert {(job.model, job.size) for job in jobs} == {("emoji", 128), ("sd15", 256)}


def test_tables_and_runs_are_written(tmp_path, capsys, monkeypatch):
    def contest(job, workers, rounds, say):
        own = {"flops": 1e9, "rate": 1e10}
        assert list(workers) == ["jaxsd", "other"]
        return [
            Result("jaxsd", job, [1.0] * rounds, about=own),
            Result("other", job, [2.0] * rounds),
        ]

    monkeypatch.setattr("jaxsd.benchmark.contest.contest", contest)
    arguments = ["--parts", "text", "--peer", "other=program", "--as", "make figures"]
    with pytest.raises(SystemExit) as ended:
        run(["bench", *arguments, "-o", str(tmp_path)])
    assert not ended.value.code
    text = (tmp_path / "BENCHMARKS.md").read_text()
    assert "`make figures`" in text
    assert "| sd15 text 512 px, batch 1, float32 | other | 2 (2 to 2) | 2.00 |" in text
    assert capsys.readouterr().out.strip() in text
    assert len(json.loads((tmp_path / "results.json").read_text())["results"]) == 2
