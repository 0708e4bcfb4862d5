"""`jaxsd parity` as far as it goes without PyTorch: one line for what cannot be compared."""

import sys
from pathlib import Path

import pytest

from jaxsd.cli.main import run


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--steps", "0"], "--steps 0 is out of range; allowed is 1 to 1000"),
        (["--side", "21"], "--side 21 is not a multiple of 2 above 0"),
        (["--samplers", "euler_z"], "invalid choice: 'euler_z'"),
        (["--against", "peers"], "invalid choice: 'peers'"),
        (["--tolerance", "-1"], "--tolerance -1 is out of range"),
        (["--theirs", "emoji"], "--theirs emoji has networks of other sizes than "),
        (["--theirs", "nothing"], "no model at nothing"),
        ([], "pip install 'jaxsd[parity]'"),
        (["--against", "ldm"], "this needs the package torch: pip install 'jaxsd[parity]'"),
    ],
)
def test_mistakes_are_one_line(
    words: list[str],
    says: str,
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in [name for name in sys.modules if name.startswith("jaxsd.parity.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(SystemExit) as ended:
        run(["parity", str(model), "-o", str(tmp_path / "report"), *words])
    assert ended.value.code == 2
    line = capsys.readouterr().err
    assert says in line
    assert line.count("\n") == 1
    assert not (tmp_path / "report").exists()
