"""What a benchmark found, as text."""

import json

import pytest

from jaxsd.benchmark.contest import Result
from jaxsd.benchmark.jobs import Job
from jaxsd.benchmark.report import add_section, as_json, document, machine, plot, table

JOB = Job("sd15", "image", "bfloat16", 4, 512, 20)


def contests() -> list[list[Result]]:
    own = {"flops": 8e12, "rate": 4e12}
    return [
        [
            Result("slow", JOB, [8.0, 9.0, 7.0], compile=0.5, peak=3_000_000_000),
            Result("jaxsd", JOB, [4.0, 4.5, 3.5], compile=12.0, peak=2_000_000_000, about=own),
            Result("absent", JOB, left_out="No module named 'torch'"),
        ]
    ]


def test_the_table_has_the_fastest_first_and_says_who_is_missing():
    lines = table(contests()).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:4]]
    job = "sd15 image 512 px, batch 4, bfloat16, 20 steps"
    assert cells == [
        [job, "**jaxsd**", "4 (3.5 to 4.5)", "1.00", "1", "2.000", "50%", "12.0", "2.00"],
        [job, "slow", "8 (7 to 9)", "2.00", "0.5", "1.000", "25%", "0.5", "3.00"],
    ]
    assert lines[0].count("|") == lines[1].count("|") == lines[2].count("|")
    assert lines[-1] == f"- {job}: absent left out: No module named 'torch'"


def test_without_jaxsd_there_is_nothing_to_divide_by():
    [[slow, _, _]] = contests()
    assert "| slow | 8 (7 to 9) |  | 0.5 |  |  | 0.5 | 3.00 |" in table([[slow]])


def test_the_section_says_where_and_when_and_how():
    facts = machine()
    assert {"date", "jaxsd", "jax", "jaxlib", "processor"} <= set(facts)
    text = document(facts, "jaxsd bench --quick", contests())
    assert text.startswith(f"## {facts['date']}\n")
    assert "`jaxsd bench --quick`" in text
    assert "bfloat16 4000 GFLOP/s" in text


def test_the_newest_section_comes_first(tmp_path):
    path = tmp_path / "BENCHMARKS.md"
    for name in ("one", "two"):
        add_section(path, f"## {name}\n\n{table(contests())}")
    lines = path.read_text().splitlines()
    assert [line for line in lines if line.startswith("#")] == ["# Benchmarks", "## two", "## one"]


def test_json_keeps_every_run():
    found = json.loads(as_json({"cores": 2}, "command", contests()))
    assert found["results"][0]["seconds"] == [8.0, 9.0, 7.0]
    assert found["results"][0]["job"]["size"] == 512
    assert found["machine"] == {"cores": 2}


def test_the_plot_is_a_picture(tmp_path):
    pytest.importorskip("matplotlib")
    assert plot(contests(), tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes()[:4] == b"\x89PNG"
