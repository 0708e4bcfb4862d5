"""Folders and files that are out of reach of others."""

import os
from pathlib import Path

import pytest

from jaxsd.folders import cache_folder, check_private_file, private, writable_cache


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


@pytest.mark.parametrize("open_to", [0o620, 0o602])
def test_a_file_that_others_may_write_is_refused(tmp_path, open_to):
    path = tmp_path / "program"
    path.touch()
    path.chmod(0o600)
    check_private_file(path)
    path.chmod(open_to)
    with pytest.raises(ValueError, match="only you can write"):
        check_private_file(path)


def test_a_link_to_a_file_is_refused(tmp_path):
    (tmp_path / "real").touch(mode=0o600)
    (tmp_path / "link").symlink_to("real")
    with pytest.raises(ValueError, match="only you can write"):
        check_private_file(tmp_path / "link")


@pytest.mark.parametrize("home", ["/proc", "/dev/null", None])
def test_without_a_place_for_a_cache_there_is_none_and_a_line(home, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    if home is None:
        monkeypatch.setattr(Path, "home", lambda: Path("~nobody-here").expanduser())
    else:
        monkeypatch.setenv("HOME", home)
    lines = []
    assert writable_cache(lines.append) is None
    (line,) = lines
    assert line.startswith("compiled programs are not kept, since there is no cache folder: ")
    assert (home or "set XDG_CACHE_HOME") in line


def test_a_cache_open_to_others_is_refused_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "jaxsd").mkdir(mode=0o777)
    (tmp_path / "jaxsd").chmod(0o777)
    with pytest.raises(ValueError, match="open to other users"):
        writable_cache(print)
