"""Training state on disk: Orbax checkpoints, written atomically; the last few are kept."""

from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp


class Checkpoints:
    """The checkpoints of one run, by step, in `folder`."""

    def __init__(self, folder: str | Path, keep: int = 2) -> None:
        options = ocp.CheckpointManagerOptions(max_to_keep=keep, create=True)
        self._manager = ocp.CheckpointManager(Path(folder).absolute(), options=options)

    @property
    def latest(self) -> int | None:
        """The highest step that was saved completely, or None."""
        return self._manager.latest_step()

    def save(self, step: int, state: Any) -> None:
        """Writes a pytree of arrays; a step is saved completely or not at all. Returns before the
        write ends: `close` or the next save waits for it.
        """
        self._manager.save(step, args=ocp.args.StandardSave(state), force=True)

    def restore(self, like: Any) -> Any:
        """The latest state, in the structure, shapes, dtypes and shardings of `like`.

        It may be saved from any devices. Leaves without sharding go to this process's first device.

        Raises:
          FileNotFoundError: nothing was saved yet.
        """
        if self.latest is None:
            raise FileNotFoundError(f"no checkpoint in {self._manager.directory}; train first")
        here = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
        abstract = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(
                leaf.shape, leaf.dtype, sharding=getattr(leaf, "sharding", None) or here
            ),
            like,
        )
        return self._manager.restore(self.latest, args=ocp.args.StandardRestore(abstract))

    def close(self) -> None:
        """Waits for writes to end."""
        self._manager.wait_until_finished()
        self._manager.close()
