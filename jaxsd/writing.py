"""Files that are whole or absent."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from threading import get_ident


def check_writable(folder: Path) -> None:
    """Finds out whether files can be written in a folder.

    Raises:
      OSError: they can not; it names the folder.
    """
    try:
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(folder)) from None


def check_place(folder: Path) -> None:
    """The same for a folder that may have to be made, with those above it; it is not made yet.

    Raises:
      OSError: as `check_writable`, for the lowest of these folders that is there.
    """
    while not os.path.lexists(folder) and folder != folder.parent:
        folder = folder.parent
    check_writable(folder)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """The path of a file to write, which takes the place of `path` if no error is raised.

    Raises:
      OSError: it can not be written. It names `path`, also where the system names no file, as it
        does when a disk is full.
    """
    part = path.with_name(f".{os.getpid()}-{get_ident()}.part")
    try:
        yield part
        part.replace(path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
    finally:
        part.unlink(missing_ok=True)
