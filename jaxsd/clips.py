"""Clips, whose frames are drawn together: their motion modules, and the contexts of long ones."""

import itertools
from collections.abc import Sequence
from pathlib import Path

from jaxsd.config import ModelSpec
from jaxsd.convert.motion import StoredMotion, open_motion
from jaxsd.convert.motion_lora import with_loras
from jaxsd.settings import Lora, Settings
from jaxsd.settings.adapters import adapter_place


def check_clips(settings: Sequence[Settings], spec: ModelSpec) -> None:
    """Finds out whether the motion modules that settings name can draw their clips.

    Raises:
      ValueError: as `opened`; or contexts are longer than the modules know.
      OSError: likewise.
    """
    named = {(one.motion, one.motion_lora, one.motion_context[0]) for one in settings}
    for place, loras, length in sorted(named):
        if place and length > (most := opened(place, loras, spec).config.frames):
            raise ValueError(
                f"motion_context {length} is out of range; {place} was trained on {most} frames at "
                "most"
            )


def opened(place: str, loras: Sequence[Lora], spec: ModelSpec) -> StoredMotion:
    """Motion modules with their LoRAs, for a model; no weight is read yet.

    Raises:
      ValueError: a file is none, or of another model.
      OSError: there is no such file.
    """
    path = Path(place)
    if not path.exists():
        raise FileNotFoundError(f"motion: there is no file or folder {place!r}")
    stored = open_motion(path, spec.unet, spec.family)
    files = [(adapter_place(one.file), one.weight) for one in loras]
    return stored._replace(tensors=with_loras(stored.tensors, files))


def contexts(row: int, frames: int, length: int, over: int, *, loops: bool) -> list[int]:
    """The first frames of the contexts of a row: AnimateDiff-Evolved's uniform ones, of stride 1.

    They begin at another frame in each row, so that no frame is always at an end. Where the clip
    loops they go around; else those that would are moved back to its end.

    Args:
      row: its number.
      frames: of the clip.
      length: of a context.
      over: least number of frames that neighbours share.
      loops: whether the last frame leads back to the first.
    """
    if frames <= length:
        return [0]
    shift, end = round(frames * halving(row)), frames - (0 if loops else over)
    firsts = [(shift + first) % frames for first in range(0, end, length - over)]
    if loops:
        return firsts
    found: list[int] = []
    for first, after in itertools.pairwise([*firsts, None]):
        moved = first + length > frames
        found.append(frames - length if moved else first)
        # Of what went round, the beginning is left to the context after it, if that has it.
        has_it = found[0] == 0 if after is None else after == 0 or after + length > frames
        if moved and not has_it:
            found.append(0)
    return list(dict.fromkeys(found))


def halving(row: int) -> float:
    """0, 1/2, 1/4, 3/4, 1/8, ...: the bits of a number behind the point, the lowest first."""
    return int(f"{row:064b}"[::-1], 2) / 2**64
