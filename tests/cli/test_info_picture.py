"""`jaxsd info PICTURE`."""

from pathlib import Path

import numpy as np
import pytest

from jaxsd.cli.main import run
from jaxsd.images import png_bytes

PICTURES = Path(__file__).parents[1] / "data/pictures"


def info(path: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    with pytest.raises(SystemExit) as ended:
        run(["info", str(path)])
    assert not ended.value.code
    return capsys.readouterr().out.splitlines()


def test_a_picture_says_what_made_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert info(PICTURES / "webui_stealth.png", capsys)[:6] == [
        "kind             picture",
        "size             64 x 64",
        "made by          webui v1.9.4-169-ga30b19dd",
        "prompt           a circle",
        "negative prompt  a square",
        "Steps            20",
    ]


def test_texts_of_pictures_can_not_steer_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = {"parameters": "red \x1b[31m\u202e\nSteps: 3, " + "N" * 500 + ": \x07" + "x" * 10**6}
    (tmp_path / "a.png").write_bytes(png_bytes(np.zeros((8, 8, 3), np.uint8), texts))
    lines = info(tmp_path / "a.png", capsys)
    assert all(line.isprintable() and len(line) < 1100 for line in lines)
    assert any(line.endswith("red \\x1b[31m\\u202e") for line in lines)


def test_pictures_without_known_texts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pixels = np.zeros((8, 8, 3), np.uint8)
    for texts, said in (({}, "none"), ({"parameters": "a poem", "b": "c"}, "parameters, b")):
        (tmp_path / "a.png").write_bytes(png_bytes(pixels, texts))
        assert info(tmp_path / "a.png", capsys)[2:] == ["made by  not known", f"texts    {said}"]
    (tmp_path / "a.png").write_bytes(png_bytes(pixels)[:20])
    with pytest.raises(SystemExit) as ended:
        run(["info", str(tmp_path / "a.png")])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith(f"jaxsd info: {tmp_path}/a.png: no picture")
    assert len(said.splitlines()) == 1
