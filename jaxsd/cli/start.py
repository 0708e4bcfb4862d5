"""Where the `jaxsd` program begins: Ctrl-C has a meaning before more than this is imported."""

from __future__ import annotations

import gc
import os
import signal

TYPE_CHECKING = False  # `typing` takes half of the time until Ctrl-C is listened for
if TYPE_CHECKING:
    from types import CodeType, FrameType

INTERRUPTED = 130
"""Status of a program that Ctrl-C ended: 128 + SIGINT."""
_IMPORTING = "<frozen importlib._bootstrap>"
"""The file of Python's own import, as frames name it."""


def run() -> None:
    """The `jaxsd` program. What Python does before this line, it does without us."""
    listen()
    from jaxsd.cli.main import run as rest

    rest()


def listen() -> None:
    """Lets Ctrl-C end the program in good order, unless a shell ignores it or somebody listens."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)


def interrupted() -> bool:
    """Whether there was a Ctrl-C. Modules in C can lose it."""
    return signal.getsignal(signal.SIGINT) is _interrupt_again


def _interrupt(_: int, frame: FrameType | None) -> None:
    """Ends the program in good order; the second time at once, whatever it waits for.

    While a module is imported it ends at once too: modules in C crash at an exception, or lose it,
    and files that are written appear when they are whole. While garbage is collected, where Python
    ignores exceptions, it waits.
    """
    around = _codes(frame)
    if any(getattr(callback, "__code__", None) in around for callback in gc.callbacks):
        from threading import Timer

        Timer(0.01, os.kill, (os.getpid(), signal.SIGINT)).start()
        return
    signal.signal(signal.SIGINT, _interrupt_again)
    if any(code.co_filename == _IMPORTING for code in around):
        os.write(2, b"jaxsd: interrupted\n")
        os._exit(INTERRUPTED)
    raise KeyboardInterrupt


def _codes(frame: FrameType | None) -> list[CodeType]:
    """The functions that are being run, the innermost first."""
    found = []
    while frame is not None:
        found.append(frame.f_code)
        frame = frame.f_back
    return found


def _interrupt_again(*_: object) -> None:
    os._exit(INTERRUPTED)
