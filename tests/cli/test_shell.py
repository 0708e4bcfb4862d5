"""What a shell does to a program: pipes, closed and full streams, Ctrl-C, folders not writable."""

import contextlib
import os
import signal
import subprocess
import sys
from typing import IO

import pytest

from jaxsd.cli import main
from jaxsd.cli.ending import ending

PROGRAM = (sys.executable, "-c", "from jaxsd.cli.main import run; run()")


def printing(place: int | IO[str], *, at_once: str = "") -> tuple[int, bytes]:
    """Status and errors of a program that prints to a place, at the end or at once."""
    done = subprocess.run(
        [*PROGRAM, "--help"],
        stdout=place,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONUNBUFFERED": at_once},
        timeout=60,
    )
    return done.returncode, done.stderr


def test_a_reader_that_went_away_ends_the_program_quietly():
    reader, writer = os.pipe()
    os.close(reader)
    assert printing(writer) == (141, b"")
    os.close(writer)


@pytest.mark.parametrize("at_once", ["", "1"])
def test_output_to_a_full_disk_is_one_line(at_once):
    with open("/dev/full", "w") as full:
        line = b"jaxsd: standard output can not be written: No space left on device\n"
        assert printing(full, at_once=at_once) == (2, line)


@pytest.mark.parametrize("place", ["full", "pipe"])
def test_lines_that_nobody_gets_are_dropped(place):
    reader, writer = os.pipe()
    os.close(reader)
    with open("/dev/full", "w") as full, os.fdopen(writer, "w") as pipe:
        lost = {"full": full, "pipe": pipe}[place]
        done = subprocess.run([*PROGRAM, "info", "/no/such"], stdout=lost, stderr=lost, timeout=60)
    assert done.returncode == 2


def test_a_picture_is_drawn_whatever_the_terminal_and_the_home(tmp_path, model):
    output = tmp_path / "\u00fc.png"
    drawing = ("generate", "a", "--steps", "1", "--model", str(model), "-o", str(output))
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("XDG_")
    } | {"HOME": "/proc", "PYTHONIOENCODING": "ascii"}
    closed = ["sh", "-c", 'exec "$@" <&- 2>&-', "sh", *PROGRAM, *drawing]
    done = subprocess.run(closed, stdout=subprocess.PIPE, env=environment, timeout=300)
    assert done.returncode == 0
    assert done.stdout.decode("ascii").strip() == str(output).replace("\u00fc", "\\xfc")
    assert [path.name for path in tmp_path.iterdir()] == [output.name]
    assert output.read_bytes().startswith(b"\x89PNG")


def interrupted(argv):
    raise KeyboardInterrupt


def interrupted_in_c(argv):
    with contextlib.suppress(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    raise ImportError("umath failed to import")


@pytest.mark.parametrize("ended", [interrupted, interrupted_in_c])
def test_ctrl_c_before_a_command_is_known_is_a_line(monkeypatch, capsys, ended):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    monkeypatch.setattr(main, "_run", ended)
    try:
        with pytest.raises(SystemExit) as end:
            main.run(["info", "x"])
    finally:
        signal.signal(signal.SIGINT, before)
    assert (end.value.code, capsys.readouterr().err) == (130, "jaxsd: interrupted\n")


WHILE_IMPORTING = """
import lossy
print("goes on")
"""
WHILE_COLLECTING = """
import gc, signal, time
once = iter([signal.SIGINT])
gc.callbacks.append(lambda *_: [signal.raise_signal(one) for one in once])
try:
    gc.collect()
    time.sleep(60)
except KeyboardInterrupt:
    print("heard")
"""


@pytest.mark.parametrize(
    ("program", "status", "printed"),
    [
        (WHILE_IMPORTING, 130, (b"", b"jaxsd: interrupted\n")),
        (WHILE_COLLECTING, 0, (b"heard\n", b"")),
    ],
)
def test_ctrl_c_where_exceptions_are_lost(program, status, printed, tmp_path):
    """Modules in C crash or lose it while they are imported; jax has a callback of collections."""
    (tmp_path / "lossy.py").write_text(
        "import contextlib, signal\n"
        "with contextlib.suppress(KeyboardInterrupt): signal.raise_signal(signal.SIGINT)\n"
    )
    begun = (  # a shell's & ignores it
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from jaxsd.cli.start import listen; listen()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", begun + program],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
        capture_output=True,
        timeout=50,
    )
    assert (done.returncode, done.stdout, done.stderr) == (status, *printed)


def interrupted_import() -> ImportError:
    error = ImportError("C extensions could not be imported")
    error.__cause__ = KeyboardInterrupt()
    return error


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (interrupted_import(), 130, "interrupted"),
        (ModuleNotFoundError(name="grain"), 2, "this needs the package grain: pip install 'jaxsd"),
        (MemoryError(), 2, "out of memory; take fewer or smaller"),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory\nAllocator"), 2, "out of memory"),
    ],
)
def test_errors_of_others_get_a_line_of_ours(error, status, line):
    got_status, got_line = ending(error)
    assert got_status == status
    assert got_line.startswith(line)
    assert "\n" not in got_line


@pytest.mark.parametrize("error", [RuntimeError("Unable to initialize"), AssertionError()])
def test_a_device_that_is_not_there_is_a_line(error, monkeypatch):
    def devices() -> None:
        raise error

    assert ending(error) is None
    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    monkeypatch.setattr("jax.devices", devices)
    line = "JAX_PLATFORMS=cuda: no such device for JAX here; unset it, or take cpu"
    assert ending(error) == (2, line)


def test_a_line_can_not_steer_a_terminal(capsys):
    with pytest.raises(SystemExit):
        main.run(["info", "no\x1b[31m\n" + "x" * 200])
    line = capsys.readouterr().err
    assert line.startswith("jaxsd info: no model at no\\x1b[31m\\n")
    assert line.endswith(": no such file or folder\n")
