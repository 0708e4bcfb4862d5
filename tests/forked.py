"""Runs of `jaxsd` in processes that are forked from one that has imported what they need.

Importing takes longer than all that a tiny model has to do.
"""

import atexit
import multiprocessing
import os
import subprocess
import tempfile
from pathlib import Path

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["jaxsd.pipeline", "jaxsd.bulk.run", "jaxsd.training.loop"])


class Forked:
    """A run of `jaxsd`, with what tests use of `subprocess.Popen`."""

    def __init__(
        self, *words: object, environment: dict[str, str], errors: Path | None = None
    ) -> None:
        """Begins.

        Args:
          *words: what follows the name of the program.
          environment: what changes in that of the tests.
          errors: a file to whose end all that the program says is written; None to `communicate`.
        """
        self._folder = tempfile.TemporaryDirectory()
        self._said = Path(self._folder.name)
        paths = (errors, errors) if errors else (self._said / "output", self._said / "errors")
        told = (list(map(str, words)), dict(os.environ) | environment, os.getcwd(), paths)
        self._process = _FORKS.Process(target=_run, args=told)
        self._process.start()

    @property
    def returncode(self) -> int | None:
        """The exit status, or minus the signal that ended it; None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """`returncode`."""
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The exit status, at the end."""
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired("jaxsd", timeout)
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """What it said on standard output and error, at the end."""
        self.wait(timeout)
        return tuple((self._said / name).read_text() for name in ("output", "errors"))

    def send_signal(self, number: int) -> None:
        """Sends a signal, if it still runs."""
        if self.poll() is None:
            os.kill(self._process.pid, number)

    def kill(self) -> None:
        """Ends it now."""
        self._process.kill()


def _run(
    words: list[str], environment: dict[str, str], folder: str, paths: tuple[Path, Path]
) -> None:
    import jax

    from jaxsd import memory
    from jaxsd.cli.main import run

    memory._device_bytes = lambda: 0  # JAX would not be imported yet, so devices not be asked
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    for number, path in enumerate(paths, 1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    for name, value in environment.items():  # JAX has read it, before the fork
        if name.startswith("JAX_") and hasattr(jax.config, name.lower()):
            jax.config.update(name.lower(), int(value) if value.isdigit() else value)
    try:
        run(words)
    finally:
        atexit._run_exitfuncs()
        jax.distributed.shutdown()  # which Python 3.13 forgets at the fork; it waits for the others
