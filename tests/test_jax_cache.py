"""The line while a program is compiled."""

import logging
import time

import pytest

from jaxsd import jax_cache
from jaxsd.jax_cache import Announcement


def miss(level: int = logging.DEBUG) -> logging.LogRecord:
    text = "PERSISTENT COMPILATION CACHE MISS for '%s' with key %r"
    return logging.LogRecord("jax", level, "", 0, text, ("jit_f", "key"), None)


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(jax_cache, "PATIENCE", 0.02)
    return []


def wait_for(said: list[str]) -> None:
    deadline = time.monotonic() + 10
    while not said and time.monotonic() < deadline:
        time.sleep(0.01)


def test_slow_compilation_is_announced_once_and_timed_every_time(said):
    announcement = Announcement(said.append)
    for seconds in (3.0, 17.6, 0.01):
        announcement.on_log(miss())
        wait_for(said)
        announcement.on_duration("/jax/core/compile/backend_compile_duration", seconds)
    line = "compiling for this model and size; the next run will not"
    assert said == [line, "compiled in 3 s", "compiled in 18 s"]


def test_quick_compilation_and_found_programs_are_not_announced(said, monkeypatch):
    monkeypatch.setattr(jax_cache, "PATIENCE", 5.0)
    announcement = Announcement(said.append)
    announcement.on_log(miss())
    announcement.on_duration("/jax/core/compile/backend_compile_duration", 0.1)
    assert announcement.timer is None
    found = logging.LogRecord("jax", logging.DEBUG, "", 0, "cache hit for '%s'", ("f",), None)
    announcement.on_log(found)
    assert said == []


def test_only_warnings_of_jax_are_let_through(said):
    announcement = Announcement(said.append)
    assert not announcement.on_log(logging.LogRecord("jax", logging.DEBUG, "", 0, "x", (), None))
    assert announcement.on_log(logging.LogRecord("jax", logging.WARNING, "", 0, "x", (), None))
