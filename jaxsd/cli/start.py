"""Where the `jaxsd` program begins: Ctrl-C has a meaning before more than this is imported."""

import os
import signal

INTERRUPTED = 130
"""Status of a program that Ctrl-C ended: 128 + SIGINT."""


def run() -> None:
    """The `jaxsd` program. What Python does before this line, it does without us."""
    listen()
    try:
        from jaxsd.cli.main import run as rest
    except BaseException:
        if not interrupted():
            raise
        os.write(2, b"jaxsd: interrupted\n")
        os._exit(INTERRUPTED)
    rest()


def listen() -> None:
    """Lets Ctrl-C end the program in good order, unless a shell ignores it or somebody listens."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)


def interrupted() -> bool:
    """Whether there was a Ctrl-C. Modules in C can lose it, and say that they failed to import."""
    return signal.getsignal(signal.SIGINT) is _interrupt_again


def _interrupt(*_: object) -> None:
    """Ends the program in good order; the second time at once, whatever it waits for."""
    signal.signal(signal.SIGINT, _interrupt_again)
    raise KeyboardInterrupt


def _interrupt_again(*_: object) -> None:
    os._exit(INTERRUPTED)
