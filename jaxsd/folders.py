"""Folders whose files are run or unpickled, so that other users must not have access."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

from jaxsd.writing import check_writable


def cache_folder() -> Path:
    """Where compiled programs are kept: `$XDG_CACHE_HOME/jaxsd`, else `~/.cache/jaxsd`.

    Raises:
      FileNotFoundError: this user has no home folder.
    """
    if caches := os.environ.get("XDG_CACHE_HOME"):
        return Path(caches) / "jaxsd"
    try:
        return Path.home() / ".cache/jaxsd"
    except RuntimeError:
        raise FileNotFoundError("this user has no home folder; set XDG_CACHE_HOME") from None


def writable_cache(say: Callable[[str], None]) -> Path | None:
    """The cache folder; None, after a line, if nothing can be written there.

    Raises:
      ValueError: as `private`.
    """
    try:
        folder = private(cache_folder())
        check_writable(folder)
    except OSError as error:
        say(f"compiled programs are not kept, since there is no cache folder: {error}")
        return None
    return folder


def private(folder: Path) -> Path:
    """The folder, made with mode 0700 if it is missing.

    Its files are run, so other users must not have access.

    Raises:
      ValueError: it belongs to another user, is open to others, or is a link.
      OSError: it can not be made.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise ValueError(f"cache folder {folder} is a link; remove it or set XDG_CACHE_HOME")
    if found.st_uid != os.geteuid():
        raise ValueError(
            f"cache folder {folder} belongs to user {found.st_uid}; remove it or set XDG_CACHE_HOME"
        )
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise ValueError(
            f"cache folder {folder} is open to other users (mode "
            f"{stat.S_IMODE(found.st_mode):04o}); run: chmod 700 {folder}"
        )
    return folder


def check_private_file(path: Path) -> None:
    """Refuses a file that someone else could have written.

    Raises:
      ValueError: it belongs to another user, others may write to it, or it is a link.
    """
    found = path.lstat()
    ours = stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid()
    if not ours or stat.S_IMODE(found.st_mode) & 0o022:
        raise ValueError(f"{path} is not a file that only you can write; remove it")
