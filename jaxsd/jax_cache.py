"""JAX's own cache of compiled programs, and a line while one is made."""

import logging
from collections.abc import Callable
from pathlib import Path
from threading import Timer

import jax

PATIENCE = 1.0
"""Seconds of compiling before it is worth a line."""

_COMPILED = "/jax/core/compile/backend_compile_duration"


def keep_compiled(folder: Path, *, announce: Callable[[str], None]) -> None:
    """Makes JAX keep what it compiles in the folder, and announce it when that takes a while.

    A folder that the user named in JAX_COMPILATION_CACHE_DIR stays.
    """
    if not jax.config.jax_compilation_cache_dir:
        jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)
    announcement = Announcement(announce)
    # jax.monitoring tells of a program that was found only after loading it, which may take longer
    # than compiling a small one. jax's log tells of one that was not found, before compiling.
    log = logging.getLogger("jax._src.compiler")
    log.setLevel(logging.DEBUG)
    log.addFilter(announcement.on_log)
    jax.monitoring.register_event_duration_secs_listener(announcement.on_duration)


class Announcement:
    """Says once that a program is being compiled, if that takes longer than `PATIENCE`, and of each
    such program how long it took.
    """

    def __init__(self, announce: Callable[[str], None]) -> None:
        self.announce = announce
        self.timer: Timer | None = None
        self.said = False

    def on_log(self, record: logging.LogRecord) -> bool:
        """Starts to wait when a program is not in the cache. Lets warnings through only."""
        if "CACHE MISS" in record.msg:
            self.timer = Timer(PATIENCE, self.say)
            self.timer.daemon = True
            self.timer.start()
        return record.levelno >= logging.WARNING

    def on_duration(self, event: str, seconds: float, **_: str | int) -> None:
        """Stops waiting when a program is there."""
        if event != _COMPILED or self.timer is None:
            return
        self.timer.cancel()
        self.timer = None
        if seconds > PATIENCE:
            self.announce(f"compiled in {seconds:.0f} s")

    def say(self) -> None:
        """Hands the first line on."""
        if not self.said:
            self.said = True
            self.announce("compiling for this model and size; the next run will not")
