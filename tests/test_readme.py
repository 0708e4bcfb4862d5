"""Every option that README and the pages of docs/ show is one that the commands have."""

import re
from pathlib import Path

import pytest

from jaxsd.cli.arguments import COMMANDS
from jaxsd.cli.main import run

ROOT = Path(__file__).parents[1]
PAGES = "\n".join(
    page.read_text(encoding="utf-8") for page in (ROOT / "README.md", *ROOT.glob("docs/*.md"))
)
FLAG = r"(?<![\w-])--[a-z][a-z-]*"


def helped(command: str, capsys: pytest.CaptureFixture[str]) -> set[str]:
    """Flags in the help of a command."""
    with pytest.raises(SystemExit):
        run([command, "--help"])
    return set(re.findall(FLAG, capsys.readouterr().out))


def test_options_of_commands_are_in_their_help(capsys: pytest.CaptureFixture[str]) -> None:
    lines = re.findall(r"jaxsd ([a-z-]+) ((?:.*\\\n)*.*)", PAGES)
    shown = [(name, set(re.findall(FLAG, rest))) for name, rest in lines if name in COMMANDS]
    assert len(shown) > 10
    for command, flags in shown:
        assert flags <= helped(command, capsys), f"jaxsd {command}"


def test_options_in_the_text_are_of_some_command(capsys: pytest.CaptureFixture[str]) -> None:
    known = set().union(*(helped(command, capsys) for command in COMMANDS))
    named = set(re.findall(r"`(--[a-z][a-z-]*)", PAGES))
    assert len(named) > 10
    assert named <= known
