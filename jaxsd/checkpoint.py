"""Training state on disk: Orbax checkpoints, written atomically; the last few are kept."""

import errno
import logging
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp

from jaxsd.parallel.sharing import path_name


class Checkpoints:
    """The checkpoints of one run, by step, in `folder`."""

    def __init__(self, folder: str | Path, keep: int = 2) -> None:
        logging.getLogger("absl").addFilter(_is_no_error_of_orbax)
        if not isinstance(sys.unraisablehook, _Shown):
            sys.unraisablehook = _Shown(sys.unraisablehook)
        options = ocp.CheckpointManagerOptions(max_to_keep=keep, create=True)
        self._manager = ocp.CheckpointManager(
            Path(folder).absolute(), item_handlers=ocp.StandardCheckpointHandler(), options=options
        )

    @property
    def latest(self) -> int | None:
        """The highest step that was saved completely, or None."""
        return self._manager.latest_step()

    def save(self, step: int, state: Any) -> None:
        """Writes a pytree of arrays; a step is saved completely or not at all. Returns before the
        write ends: `close` or the next save waits for it.

        Raises:
          OSError: this one has no room, or the one before could not be written.
        """
        with self._writing():
            self._manager.wait_until_finished()
        self._check_room(sum(leaf.nbytes for leaf in jax.tree.leaves(state)))
        with self._writing():
            self._manager.save(step, args=ocp.args.StandardSave(state), force=True)

    def restore(self, like: Any) -> Any:
        """The latest state, in the structure, shapes, dtypes and shardings of `like`.

        It may be saved from any devices. Leaves without sharding go to this process's first device.

        Raises:
          FileNotFoundError: nothing was saved yet.
          ValueError: the state has other arrays than `like`, or can not be read.
        """
        if self.latest is None:
            raise FileNotFoundError(f"no checkpoint in {self._manager.directory}; train first")
        place = f"{self._manager.directory}/{self.latest}"
        here = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
        abstract = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(
                leaf.shape, leaf.dtype, sharding=getattr(leaf, "sharding", None) or here
            ),
            like,
        )
        try:
            saved = _shapes(self._manager.item_metadata(self.latest).tree)
            wanted = _shapes(abstract)
            if saved == wanted:
                return self._manager.restore(self.latest, args=ocp.args.StandardRestore(abstract))
        except Exception:  # a damaged file can raise anything
            raise ValueError(
                f"the checkpoint {place} is damaged; remove it to go on from the one before"
            ) from None
        path = min(path for path, _ in saved.items() ^ wanted.items())
        was, now = (shapes.get(path, "not there") for shapes in (saved, wanted))
        raise ValueError(
            f"the checkpoint {place} is of another model: {path} was {was} and is {now}; begin "
            "anew with another output"
        )

    def close(self) -> None:
        """Waits for writes to end.

        Raises:
          OSError: the last one could not be written.
        """
        with self._writing():
            self._manager.wait_until_finished()
        self._manager.close()

    def _check_room(self, need: int) -> None:
        """TensorStore can keep a program from ending whose disk was full under it."""
        free = shutil.disk_usage(self._manager.directory).free
        if need > free:
            raise OSError(
                f"a checkpoint in {self._manager.directory} needs {need / 1e6:.1f} MB, and "
                f"{free / 1e6:.1f} are free; make room, and the same command goes on from the one "
                "before"
            )

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Says of an error while checkpoints are written, now or since the last call, where."""
        try:
            yield
        except Exception as error:  # of TensorStore, whose errors have no type of their own
            said, full = str(error), os.strerror(errno.ENOSPC)
            reason = full if full in said else said.partition("\n")[0]
            raise OSError(
                f"a checkpoint in {self._manager.directory} can not be written: {reason}; the same "
                "command goes on from the one before"
            ) from None


class _Shown:
    """Shows errors that nobody can catch, as before, but for those of TensorStore's threads.

    They still write when Orbax has raised an error and closed its event loop, and find it closed.
    """

    def __init__(self, show: Callable[[Any], Any]) -> None:
        self._show = show

    def __call__(self, raised: Any) -> None:
        if str(raised.exc_value) != "Event loop is closed":
            self._show(raised)


def _is_no_error_of_orbax(record: logging.LogRecord) -> bool:
    """Leaves out what Orbax logs of errors, with tracebacks, since it raises them too."""
    return record.levelno < logging.ERROR or "orbax" not in record.pathname


def _shapes(tree: Any) -> dict[str, tuple[int, ...]]:
    """Path -> shape; the same for what Orbax makes of a tree, where tuples with names are dicts."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {path_name(path): tuple(leaf.shape) for path, leaf in leaves}
