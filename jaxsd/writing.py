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
def naming(path: Path, part: Path | None = None) -> Iterator[None]:
    """Names `path` in errors of the system, which names no file when a disk is full.

    Args:
      path: what the user knows.
      part: a file or folder whose name stands for it meanwhile.

    Raises:
      OSError: it can not be written, or an error of another file.
    """
    try:
        yield
    except OSError as error:
        named = error.filename
        if error.errno is None or (named and not (part and Path(named).is_relative_to(part))):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from None


@contextmanager
def replacing(path: Path, part: Path | None = None) -> Iterator[Path]:
    """The path of a file to write, which takes the place of `path` if no error is raised.

    Args:
      path: where it will be.
      part: where it is written, in the same folder; None for a name that no other thread has.

    Raises:
      OSError: as `naming`.
    """
    part = part or path.with_name(f".{os.getpid()}-{get_ident()}.part")
    try:
        with naming(path, part):
            yield part
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)
