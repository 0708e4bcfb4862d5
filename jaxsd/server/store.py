"""Jobs and pictures in a file of SQLite, so that they outlive the process."""

import sqlite3
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

from jaxsd.folders import private

_TABLES = """
CREATE TABLE IF NOT EXISTS jobs (
    id TEXT PRIMARY KEY, created REAL, state TEXT, error TEXT, body TEXT);
CREATE TABLE IF NOT EXISTS pictures (
    id TEXT PRIMARY KEY, job TEXT, number INTEGER, created REAL, seed INTEGER, kind TEXT,
    settings TEXT, content BLOB);
CREATE INDEX IF NOT EXISTS pictures_of_jobs ON pictures (job, number);
CREATE INDEX IF NOT EXISTS pictures_by_age ON pictures (created, id);
CREATE INDEX IF NOT EXISTS jobs_by_age ON jobs (created, id);
"""


class StoredJob(NamedTuple):
    """A row of the table of jobs."""

    id: str
    created: float
    state: str
    error: str
    body: str  # what the client sent, with its seed


class StoredPicture(NamedTuple):
    """A row of the table of pictures, without its bytes."""

    id: str
    job: str
    number: int
    created: float
    seed: int
    kind: str  # of its file, such as image/png
    settings: str  # JSON


class Store:
    """Keeps the last pictures and their jobs. Any thread may call it.

    What changes something raises OSError where it can not be kept, as on a full disk.

    Attributes:
      folder: private to this user, and to this server as long as it is open.
    """

    def __init__(self, folder: Path, most: int = 1000) -> None:
        """Opens or makes the file.

        Args:
          folder: private to this user, made if it is missing.
          most: pictures that are kept; older ones are forgotten.

        Raises:
          ValueError: another server has the folder, or it is open to other users.
          OSError: it can not be made.
        """
        self._lock, self._most, self.folder = Lock(), most, folder
        path = private(folder) / "jobs.sqlite3"
        self._file = sqlite3.connect(path, timeout=0.5, check_same_thread=False)
        try:
            self._file.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._file.execute("PRAGMA journal_mode = WAL")
            self._file.executescript(_TABLES)
        except sqlite3.DatabaseError as error:
            self._file.close()
            raise ValueError(
                f"{path}: {error}; does another server use it? Give this one a folder with --data"
            ) from None

    def close(self) -> None:
        """Closes the file."""
        with self._lock:
            self._file.close()

    def add_job(self, job: StoredJob) -> None:
        """Keeps a job, in place of one with its id."""
        self._change("INSERT OR REPLACE INTO jobs VALUES (?, ?, ?, ?, ?)", job)

    def end_job(self, id: str, state: str, error: str) -> None:
        """Keeps what became of a job, and forgets what it was asked with."""
        told = "UPDATE jobs SET state = ?, error = ?, body = '' WHERE id = ?"
        self._change(told, (state, error, id))

    def add_picture(self, picture: StoredPicture, content: bytes) -> None:
        """Keeps a picture, and forgets those that are too many, with their jobs."""
        marks = ", ".join("?" * (len(picture) + 1))
        self._change(f"INSERT OR REPLACE INTO pictures VALUES ({marks})", (*picture, content))
        oldest = "SELECT id FROM pictures ORDER BY created DESC LIMIT -1 OFFSET ?"
        self._change(f"DELETE FROM pictures WHERE id IN ({oldest})", (self._most,))
        jobless = "SELECT id FROM jobs ORDER BY created DESC LIMIT -1 OFFSET ?"
        self._change(f"DELETE FROM jobs WHERE body = '' AND id IN ({jobless})", (self._most,))

    def delete_job(self, id: str) -> None:
        """Forgets a job and its pictures."""
        self._change("DELETE FROM pictures WHERE job = ?", (id,))
        self._change("DELETE FROM jobs WHERE id = ?", (id,))

    def job(self, id: str) -> StoredJob | None:
        """A job; None if it is not known."""
        rows = self._rows("SELECT * FROM jobs WHERE id = ?", (id,))
        return StoredJob(*rows[0]) if rows else None

    def jobs(self, most: int) -> list[StoredJob]:
        """The last jobs, the newest first, without what they were asked with."""
        told = "SELECT id, created, state, error, '' FROM jobs ORDER BY created DESC LIMIT ?"
        return [StoredJob(*row) for row in self._rows(told, (most,))]

    def unfinished(self) -> list[StoredJob]:
        """Jobs that a server left when it ended, the oldest first."""
        told = "SELECT * FROM jobs WHERE body != '' ORDER BY created"
        return [StoredJob(*row) for row in self._rows(told, ())]

    def pictures(self, job: str) -> list[StoredPicture]:
        """The pictures of a job, in order."""
        columns = ", ".join(StoredPicture._fields)
        told = f"SELECT {columns} FROM pictures WHERE job = ? ORDER BY number"
        return [StoredPicture(*row) for row in self._rows(told, (job,))]

    def content(self, id: str) -> tuple[str, bytes] | None:
        """Kind and bytes of a picture; None if it is not known."""
        rows = self._rows("SELECT kind, content FROM pictures WHERE id = ?", (id,))
        return rows[0] if rows else None

    def _change(self, told: str, values: tuple[Any, ...]) -> None:
        try:
            with self._lock, self._file:
                self._file.execute(told, values)
        except sqlite3.OperationalError as error:
            raise OSError(f"{self.folder}: {error}") from None

    def _rows(self, told: str, values: tuple[Any, ...]) -> list[Any]:
        with self._lock:
            return self._file.execute(told, values).fetchall()
