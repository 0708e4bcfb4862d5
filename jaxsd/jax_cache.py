"""JAX's own cache of compiled programs, and a message while one is compiled."""

import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from threading import Timer

import jax

PATIENCE = 1.0
"""Seconds of compiling after which it is announced."""

_COMPILED = "/jax/core/compile/backend_compile_duration"


def keep_compiled(folder: Path | None, *, announce: Callable[[str], None]) -> None:
    """Makes JAX keep compiled programs in the folder, and announces those that take long.

    A folder that the user named in JAX_COMPILATION_CACHE_DIR is used instead. With None, and none
    named, nothing is kept. A full disk is no reason to stop, nor to say so for each program.
    """
    if folder is not None and not jax.config.jax_compilation_cache_dir:
        jax.config.update("jax_compilation_cache_dir", str(folder))
    warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache")
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)
    announcement = Announcement(announce)
    # jax.monitoring reports a program in the cache only after loading it, which may take longer
    # than compiling a small one. jax's log reports a missing one before compiling.
    log = logging.getLogger("jax._src.compiler")
    log.setLevel(logging.DEBUG)
    log.addFilter(announcement.on_log)
    jax.monitoring.register_event_duration_secs_listener(announcement.on_duration)


class Announcement:
    """Announces once that a program is being compiled, if that takes longer than `PATIENCE`, and
    for each such program how long it took.
    """

    def __init__(self, announce: Callable[[str], None]) -> None:
        self.announce = announce
        self.timer: Timer | None = None
        self.said = False

    def on_log(self, record: logging.LogRecord) -> bool:
        """Starts the timer when a program is not in the cache. Lets only warnings through."""
        if "CACHE MISS" in record.msg:
            self.timer = Timer(PATIENCE, self.say)
            self.timer.daemon = True
            self.timer.start()
        return record.levelno >= logging.WARNING

    def on_duration(self, event: str, seconds: float, **_: str | int) -> None:
        """Stops the timer when a program is compiled, and announces how long a slow one took."""
        if event != _COMPILED or self.timer is None:
            return
        self.timer.cancel()
        self.timer = None
        if seconds > PATIENCE:
            self.announce(f"compiled in {seconds:.0f} s")

    def say(self) -> None:
        """Announces that a program is being compiled, the first time only."""
        if not self.said:
            self.said = True
            self.announce("compiling for this model and size; the next run will not")
