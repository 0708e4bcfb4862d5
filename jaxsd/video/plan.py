"""Every frame of a video, before anything is drawn."""

import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxsd.config import ModelSpec
from jaxsd.images.moving import Move
from jaxsd.settings import LARGEST_SEED, OPTIONS, Lora, Settings, checked
from jaxsd.video.config import MOST_FRAMES, VideoConfig
from jaxsd.video.drive import Drive, followed, warped
from jaxsd.video.keys import LARGEST_ZOOM, Key, keys_of, length_of
from jaxsd.video.sound import Sound, read_sound
from jaxsd.video.source import Source, open_source
from jaxsd.video.walk import DIGITS, at, between, mean

TABLE, FIRST, CLIP = "frames.jsonl", "first", "clip"
"""Names in the folder of frames: their table, and folders: of a steady video's first frame, and of
the frames of a clip that is drawn over."""


class Frame(NamedTuple):
    """One frame."""

    settings: Settings
    zoom: float
    camera: Move = Move()  # since the beginning


class Plan(NamedTuple):
    """A video that can be drawn."""

    config: VideoConfig
    frames: tuple[Frame, ...]
    shown: tuple[int, ...]  # frames of the contact sheet: those nearest to the key frames
    sound: Sound | None
    driven: np.ndarray  # [drives, frames], 0 to 1
    source: Source | None = None  # what is drawn over


def planned(config: VideoConfig, spec: ModelSpec) -> Plan:
    """The frames of a video: each a function of the key frames, its time and the sound.

    Raises:
      ValueError: key frames or a sound that can not be used.
      OSError: a sound that can not be read.
    """
    sound = read_sound(config.audio) if config.audio else None
    source = open_source(config.clip, config.fps) if config.clip else None
    seconds = sound.seconds if sound else source.seconds if source else 0.0
    keys = keys_of(config, spec, seconds)
    count = max(1, round(length_of(keys, config, seconds) * config.fps))
    if count > MOST_FRAMES:
        raise ValueError(f"this video has {count} frames; at most {MOST_FRAMES} are possible")
    numbers = np.zeros((0, count))
    if sound and config.drive:
        numbers = followed(config.drive, sound, count, config.fps)
    times = warped(np.arange(count) / config.fps, config.drive, numbers)
    mixes = len({key.settings.prompt for key in keys}) > 1
    for number, (one, other) in enumerate(itertools.pairwise(keys), 1):
        try:
            checked(between(one.settings, other.settings, 0.5, mixes=mixes), spec)
        except ValueError as error:
            raise ValueError(f"between key frames {number} and {number + 1}: {error}") from None
    frames = [
        _driven(_frame(keys, time, mixes=mixes), config.drive, numbers[:, i])
        for i, time in enumerate(times)
    ]
    if config.motion:
        frames = _clip(frames)
    nearest = dict.fromkeys(int(np.abs(times - key.time).argmin()) for key in keys)
    return Plan(config, tuple(frames), tuple(nearest), sound, numbers, source)


def _frame(keys: list[Key], time: float, *, mixes: bool) -> Frame:
    one, other, share = at(keys, time)
    settings = between(one.settings, other.settings, share, mixes=mixes)
    zoom = mean(one.zoom, other.zoom, share)
    camera = (mean(*both, share) for both in zip(one.camera, other.camera, strict=True))
    return Frame(settings, zoom, Move(zoom, *camera))


def _clip(frames: list[Frame]) -> list[Frame]:
    """The frames with a seed for each, for modules that were trained on noise that differs.

    Raises:
      ValueError: they can not be drawn in one call.
    """
    if len({frame.settings.lora for frame in frames}) > 1:
        raise ValueError("drive.moves 'lora' needs a call for each frame, and motion is one of all")
    last = frames[0].settings.seed + len(frames) - 1
    if last > LARGEST_SEED:
        raise ValueError(f"the last frame would have seed {last}; the largest is {LARGEST_SEED}")
    return [
        frame._replace(settings=replace(frame.settings, seed=frame.settings.seed + i))
        for i, frame in enumerate(frames)
    ]


def _driven(frame: Frame, drives: tuple[Drive, ...], numbers: np.ndarray) -> Frame:
    """A frame with what the sound adds to it."""
    settings, zoom, camera = frame
    for drive, number in zip(drives, numbers, strict=True):
        added = round(drive.amount * float(number), DIGITS)
        if drive.moves == "zoom":
            zoom = min(max(zoom + added, 1.0), LARGEST_ZOOM)
        elif drive.moves == "guidance_scale":
            said = OPTIONS["guidance_scale"].metadata
            scale = min(max(settings.guidance_scale + added, said["low"]), said["high"])
            settings = replace(settings, guidance_scale=round(scale, DIGITS))
        elif drive.moves != "walk":
            weighed = tuple(_heavier(one, added) for one in getattr(settings, drive.moves))
            settings = replace(settings, **{drive.moves: weighed})
    return Frame(settings, zoom, camera._replace(zoom=zoom))


def _heavier(one: Any, added: float) -> Any:
    """A LoRA, a ControlNet or an IP-Adapter with more weight."""
    if isinstance(one, Lora):
        weights = [round(weight + added, DIGITS) for weight in one.weights]
        return replace(one, weight=weights[0], text_weight=weights[1])
    return replace(one, weight=round(one.weight + added, DIGITS))


def frame_id(number: int) -> str:
    """The name of a frame."""
    return f"{number:06d}"


def rows_of(plan: Plan) -> bytes:
    """The frames as a table for `jaxsd bulk`: lines of JSON."""
    lines = []
    for number, frame in enumerate(plan.frames):
        said = {name: _plain(getattr(frame.settings, name)) for name in OPTIONS}
        lines.append({"id": frame_id(number)} | said)
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode()


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return value if isinstance(value, str | int | float | None) else str(value)


def frames_folder(output: str) -> Path:
    """Where the frames of a video are drawn."""
    return Path(output).with_suffix(".frames")


def check_folder(folder: Path) -> None:
    """Refuses a folder for frames that has something else in it, since it goes at the end.

    Raises:
      ValueError: it is not empty, and no run of frames began there.
    """
    begun = any((place / TABLE).is_file() for place in (folder, folder / FIRST))
    begun |= (folder / CLIP).is_dir()
    if folder.exists() and not begun and any(folder.iterdir()):
        raise ValueError(
            f"{folder}, where the frames would be drawn, has other files in it; give the video "
            "another name"
        )
