"""Standard input, output and error, whatever they are connected to."""

import os
import sys
from contextlib import suppress
from typing import Any, NoReturn, TextIO

BROKEN_PIPE = 141
"""Status of a program whose reader went away, as `head` does: 128 + SIGPIPE."""


def begin() -> None:
    """Opens streams that are closed, and makes texts printable that a stream's encoding lacks.

    Without it the next file that is opened would be standard error, and get its lines. Lines on
    standard error that nobody can get, since its disk is full or its reader went away, are dropped:
    they are no reason to stop.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_RDWR)  # the lowest free number, which is this one
            mode = "r" if number == 0 else "w"
            setattr(sys, name, os.fdopen(nowhere, mode, encoding="utf-8", closefd=False))
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    if not isinstance(sys.stdout, _Output):
        sys.stdout = _Output(sys.stdout)
    if not isinstance(sys.stderr, _Notes):
        sys.stderr = _Notes(sys.stderr)


class _Stream:
    """What another stream does."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _Output(_Stream):
    """A stream whose errors say which stream it is; `end` asks for the last one."""

    error = ""

    def write(self, text: str) -> int:
        """Writes a text. With PYTHONUNBUFFERED it gets out now, and else at the end."""
        try:
            return self._stream.write(text)
        except BrokenPipeError:
            raise
        except OSError as error:
            self.error = f"standard output can not be written: {error.strerror}"
            raise OSError(self.error) from None


class _Notes(_Stream):
    """A stream whose errors are ignored."""

    def write(self, text: str) -> int:
        """Writes a text, if that is possible."""
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Writes out what is left, if that is possible."""
        with suppress(OSError):
            self._stream.flush()


def end() -> None:
    """Writes out what was printed; with an exit status where that is not possible.

    argparse drops errors of the help that it prints, so those of a program that ends well count.
    """
    ended = sys.exception()
    failed = ended.code if isinstance(ended, SystemExit) else ended
    error = getattr(sys.stdout, "error", "")
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _leave(BROKEN_PIPE)
    except OSError as last:
        error = f"standard output can not be written: {last.strerror}"
    if error and not failed:
        print(f"jaxsd: {error}", file=sys.stderr)
        _leave(2)


def _leave(status: int) -> NoReturn:
    # Python writes out the rest once more when it ends.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    sys.exit(status)
