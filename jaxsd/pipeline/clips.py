"""Clips: motion modules read for a drawing, and the contexts in which its frames are drawn."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh

from jaxsd.clips import contexts, opened
from jaxsd.config import MotionConfig
from jaxsd.convert.files.tensors import dtype_named, load, nested, unwidened
from jaxsd.parallel import placing
from jaxsd.pipeline.adapting import Adapted, Last
from jaxsd.sampling import Step
from jaxsd.sampling.features.motion import Clip
from jaxsd.settings import Lora, Settings
from jaxsd.types import Params


class Source(NamedTuple):
    """Motion modules with their LoRAs, and how their weights are kept."""

    place: str
    lora: tuple[Lora, ...]
    dtype: str
    mesh: Mesh | None


class Loaded(NamedTuple):
    """Motion modules with their weights."""

    config: MotionConfig
    params: Params


class Reader:
    """Reads motion modules, and remembers the last ones."""

    def __init__(self) -> None:
        """Reads nothing yet."""
        self._read = Last(_loaded, 2)

    def __call__(self, model: Adapted, source: Source) -> Loaded:
        """Motion modules for the model, on its devices; only shapes if it has only shapes.

        Raises:
          ValueError: as `opened`.
          OSError: likewise.
        """
        return self._read(model, source)


def _loaded(model: Adapted, source: Source) -> Loaded:
    stored = opened(source.place, source.lora, model.spec)
    dtype = dtype_named(source.dtype)
    kept = {path: unwidened(tensor, dtype, path) for path, tensor in stored.tensors.items()}
    if isinstance(jax.tree.leaves(model.params)[0], jax.ShapeDtypeStruct):
        shapes = ((path, jax.ShapeDtypeStruct(t.shape, t.dtype)) for path, t in kept.items())
        return Loaded(stored.config, nested(shapes))
    place = placing(source.mesh)
    return Loaded(stored.config, load(kept, lambda path, array: place(f"motion/{path}", array)))


def clip_of(settings: Settings, frames: int, batch: int) -> Clip:
    """What the feature is given, [B, ...], of a clip of so many frames.

    The weights rise to the middle of a context (Qiu et al. 2023, FreeNoise, section 3.3).
    """
    length = min(settings.motion_context[0], frames)
    rising = np.minimum(np.arange(length), np.arange(length)[::-1]) + 1
    weights = np.tile(np.float32(rising), (batch, 1))
    return Clip(np.full(batch, frames, np.int32), weights)


def in_contexts(
    runs: Sequence[Step], settings: Settings, frames: int, batch: int
) -> tuple[Step, ...]:
    """The runs with the column `motion` [S, B, W]: first frames of contexts, -1 behind the last."""
    length, over = settings.motion_context
    count = max(int(row) for step in runs for row in step.row.number.max(1)) + 1
    each = [contexts(row, frames, length, over, loops=settings.motion_loop) for row in range(count)]
    most = max(map(len, each))
    firsts = np.array([own + [-1] * (most - len(own)) for own in each], np.int32)
    return tuple(
        step._replace(
            columns=step.columns | {"motion": np.stack([firsts[step.row.number[:, 0]]] * batch, 1)}
        )
        for step in runs
    )
