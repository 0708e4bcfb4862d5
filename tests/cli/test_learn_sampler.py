"""`jaxsd learn-sampler` from its arguments to a file that `jaxsd generate` draws with."""

import json
from pathlib import Path

import pytest

from jaxsd.cli.main import run
from jaxsd.schedulers.learnt import steps_in
from jaxsd.training.sampler_learning import BEGINNINGS
from jaxsd.webui import read_recipe


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    path = tmp_path / "prompts.txt"
    path.write_text("a cat\na dog\na red apple\n", encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "few.txt"], "--output few.txt does not end in .json"),
        (["--rows", "0"], "--rows 0 is out of range; allowed are 1 to 100"),
        (["--updates", "0"], "--updates 0 is out of range"),
        (["--batch", "4"], "--batch 4 is not 1 to 3, the prompts there are"),
        (["--sampler", "euler_a"], "learnt from a multistep one without noise: ddim, dpm++_2m"),
        (["--image", "a.png"], "a sampler is learnt from prompts alone; leave image"),
    ],
)
def test_mistakes_are_one_line(
    model: Path,
    prompts: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    with pytest.raises(SystemExit) as end:
        run(["learn-sampler", str(prompts), "--model", str(model), "--batch", "3", *arguments])
    printed = capsys.readouterr()
    assert (end.value.code, printed.out, printed.err.count("\n")) == (2, "", 1)
    assert message in printed.err


@pytest.mark.release
def test_a_learnt_file_is_drawn_with(
    model: Path,
    prompts: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    drawn = ["--model", str(model), "--size", "48x32", "--guidance-scale", "3"]
    few, picture = tmp_path / "few.json", tmp_path / "cat.png"
    told = ["--rows", "2", "3", "--updates", "2", "--batch", "2"]
    for argv in (
        ["learn-sampler", str(prompts), *drawn, *told, "-o", str(few)],
        ["generate", "a cat", *drawn, "--sampler", str(few), "-o", str(picture)],
    ):
        with pytest.raises(SystemExit) as end:
            run(argv)
        printed = capsys.readouterr()
        assert not end.value.code, printed.err
        if argv[0] == "learn-sampler":
            assert printed.out.split() == [str(few)]
            assert "3 rows, from dpm++_2m" in printed.err
    assert steps_in(few) == (2, 3)
    assert json.loads(few.read_text())["about"]["begin"] == list(BEGINNINGS)
    settings = read_recipe(picture).settings
    assert (settings.sampler, settings.steps) == (str(few), 3)
