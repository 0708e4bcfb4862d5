"""The folder of compiled programs, and the line while one is made."""

import logging
import os
import time
from pathlib import Path

import pytest

from jaxsd.cli import compilation
from jaxsd.cli.compilation import Announcement, cache_folder, private


def mode(folder: Path) -> int:
    return folder.stat().st_mode & 0o777


def test_the_folder_is_where_the_user_keeps_caches(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_folder() == Path("/somewhere/jaxsd")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/me")
    assert cache_folder() == Path("/home/me/.cache/jaxsd")


def test_the_folder_is_made_private_whatever_the_umask(tmp_path):
    before = os.umask(0)
    try:
        folder = private(tmp_path / "a/b")
    finally:
        os.umask(before)
    assert mode(folder) == 0o700
    assert private(folder) == folder


@pytest.mark.parametrize("open_to", [0o750, 0o705, 0o777])
def test_an_open_folder_is_refused(tmp_path, open_to):
    tmp_path.chmod(open_to)
    with pytest.raises(
        ValueError, match=rf"open to other users \(mode {open_to:04o}\); run: chmod"
    ):
        private(tmp_path)
    assert mode(tmp_path) == open_to


def test_a_link_is_refused(tmp_path):
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to("real")
    with pytest.raises(ValueError, match="is a link"):
        private(tmp_path / "link")


def test_anothers_folder_is_refused(tmp_path, monkeypatch):
    tmp_path.chmod(0o700)
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    with pytest.raises(ValueError, match=f"belongs to user {tmp_path.stat().st_uid}"):
        private(tmp_path)


def miss(level: int = logging.DEBUG) -> logging.LogRecord:
    text = "PERSISTENT COMPILATION CACHE MISS for '%s' with key %r"
    return logging.LogRecord("jax", level, "", 0, text, ("jit_f", "key"), None)


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(compilation, "PATIENCE", 0.02)
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
    monkeypatch.setattr(compilation, "PATIENCE", 5.0)
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
