"""What a command shows on stderr while it works."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


class StepBar:
    """A bar of steps on stderr, with the time left; nothing where stderr is not a terminal."""

    def __init__(self, rows: int) -> None:
        from tqdm import tqdm

        self.bar = tqdm(total=rows, unit="step", disable=None)

    def __call__(self, done: int, rows: int) -> None:
        """Shows that `done` network calls are done; a batch has `rows`."""
        if done == 1:
            # The first call loads and compiles: the time left is estimated from the others.
            self.bar.reset(self.bar.total)
            self.bar.initial = done
        self.bar.update(done - self.bar.n)

    def write(self, line: str) -> None:
        """Prints a line above the bar."""
        self.bar.write(line, file=sys.stderr)


@contextmanager
def steps_shown(rows: int) -> Iterator[StepBar]:
    """A bar that is closed at the end."""
    shown = StepBar(rows)
    try:
        yield shown
    finally:
        shown.bar.close()


def say(line: str) -> None:
    """Prints a line on stderr, above a bar if there is one."""
    from tqdm import tqdm

    tqdm.write(line, file=sys.stderr)


def keep_programs() -> None:
    """Keeps what JAX compiles for the next run, or says why not."""
    from jaxsd.folders import writable_cache
    from jaxsd.jax_cache import keep_compiled

    keep_compiled(writable_cache(say), announce=say)
