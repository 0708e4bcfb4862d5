"""The dispatcher: what it prints, how it ends, and what it does not import."""

import subprocess
import sys
import warnings
from collections.abc import Callable

import pytest

import jaxsd
from jaxsd.cli import info
from jaxsd.cli.arguments import COMMANDS
from jaxsd.cli.main import run
from jaxsd.parallel.devices import settle


def program(*argv: str) -> subprocess.CompletedProcess[str]:
    """The program in a process of its own, which ends by telling whether it imported jax."""
    code = "import sys, jaxsd.cli.main as m\ntry: m.run()\nfinally: print('jax' in sys.modules)"
    return subprocess.run(
        [sys.executable, "-c", code, *argv], capture_output=True, text=True, timeout=300
    )


def outcome(argv: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as end:
        run(argv)
    printed = capsys.readouterr()
    return end.value.code or 0, printed.out, printed.err


def test_version(capsys):
    assert outcome(["--version"], capsys) == (0, f"jaxsd {jaxsd.__version__}\n", "")


def test_warnings_are_one_line(capsys):
    outcome(["--version"], capsys)
    assert warnings.formatwarning("cut", UserWarning, "prompt.py", 7) == "jaxsd: cut\n"


def test_help_names_every_command_and_does_not_import_jax():
    done = program("--help")
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("False\n")
    shown = " ".join(done.stdout.split())  # Python's versions break lines at different words
    for name, text in COMMANDS.items():
        assert f"{name} {text}" in shown


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command, capsys):
    code, out, _ = outcome([command, "--help"], capsys)
    assert code == 0
    assert out.startswith(f"usage: jaxsd {command}")


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        ([], "jaxsd: the following arguments are required: COMMAND; see jaxsd -h\n"),
        (
            ["info"],
            "jaxsd info: the following arguments are required: SRC; see jaxsd info -h\n",
        ),
        (["info", "/no/such"], "jaxsd info: no model at /no/such: no such file or folder\n"),
    ],
)
def test_mistakes_are_one_line_and_status_2(argv, line, capsys):
    assert outcome(argv, capsys) == (2, "", line)


def raising(error: BaseException) -> Callable[[object], None]:
    def main(_: object) -> None:
        raise error

    return main


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (ValueError("wrong"), 2, "jaxsd info: wrong\n"),
        (PermissionError(13, "Permission denied", "f"), 2, "Permission denied: 'f'\n"),
        (FloatingPointError("not finite"), 1, "jaxsd info: not finite\n"),
        (KeyboardInterrupt(), 130, "jaxsd info: interrupted\n"),
    ],
)
def test_errors_of_commands_become_a_line(error, code, line, monkeypatch, capsys):
    monkeypatch.setattr(info, "main", raising(error))
    ended, out, err = outcome(["info", "x"], capsys)
    assert (ended, out) == (code, "")
    assert err.endswith(line)
    assert err.count("\n") == 1


def test_a_defect_of_ours_keeps_its_traceback(monkeypatch):
    monkeypatch.setattr(info, "main", raising(TypeError("ours")))
    with pytest.raises(TypeError, match="ours"):
        run(["info", "x"])


def test_absl_logging_flags_work_behind_the_command():
    done = program("info", "/no/such", "-v", "1")
    assert done.returncode == 2
    assert "Traceback" in done.stderr
    assert "Traceback" not in program("info", "/no/such").stderr


def test_an_error_waits_for_programs_that_still_run():
    """A process that ends under one can crash."""
    jax = pytest.importorskip("jax")
    x = jax.numpy.ones((300, 300))
    slow = jax.jit(lambda x: jax.lax.fori_loop(0, 100, lambda i, y: jax.numpy.tanh(y @ x), x))
    slow(x).block_until_ready()
    result = slow(x)
    assert not result.is_ready()
    settle()
    assert result.is_ready()
