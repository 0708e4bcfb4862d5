"""A video as TOML: its key frames, the sound that drives it, the file that it becomes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxsd.convert.files.tensors import DTYPES
from jaxsd.convert.reading import Reading
from jaxsd.settings import OPTIONS, Settings, in_range, with_sides
from jaxsd.text_files import read_text, toml_of
from jaxsd.typed import built, overridden
from jaxsd.video.drive import Drive
from jaxsd.video.easing import EASINGS
from jaxsd.video.files import KINDS

MOST_FRAMES = 100_000
"""Of a video: an hour at 25 in a second, and more."""
OF_CLIP, BEFORE = "frame of the clip", "frame before"
"""Stand for the file of the picture that a frame begins from: one that is not written yet, and one
that is given.
"""
LARGEST = 16
"""How many times frames are enlarged, at most."""


@dataclass(frozen=True, kw_only=True)
class VideoConfig(Reading, Settings):
    """One video. Options of `Settings` are those of the first key frame, where it does not set
    them; options of `Reading` say how `model` is read.

    Attributes:
      output: .mp4, .webm, .gif, .png (animated), .webp, or a folder of frames.
      key: the key frames, in order: options that differ from the frame before, and `time` (in
        seconds), `easing`, `zoom`, and with `follow` `angle`, `x` and `y`.
      seconds: length; 0 for that of the sound, or the time of the last key frame.
      fps: frames in a second.
      easing: how key frames are gone between, where they do not say it: a name of `EASINGS`.
      loop: whether the last key frame leads back to the first.
      clip: what to draw over: a film, an animated picture, or a folder of pictures; `strength` says
        how much of its frames changes, and a `control` without a picture looks at them.
      audio: .wav, .flac, .ogg or .mp3 file.
      drive: what moves with the sound.
      steady: share of the first frame in the self-attention of all frames (`reference`).
      follow: how much of each frame is drawn anew, over the frame before, which moves as the camera
        does; 0 draws each frame by itself.
      blend: with `follow`, share of the frame before in the latents of each.
      enlarge: how many times larger the frames are in the file.
      keep_frames: whether the folder of drawn frames stays when the video is done.
      size: "WIDTHxHEIGHT", short for width and height.
      model: anything that `jaxsd.load` reads.
      dtype: what the networks compute in.
      taesd: tiny autoencoder to decode with, as for `jaxsd.load`; empty for the model's own.
      batch_size: frames that one device draws at a time.
      mesh: devices of each host along data, fsdp and tensor, see `jaxsd.parallel.mesh_of`.
    """

    output: str
    key: tuple[dict[str, Any], ...] = ()
    seconds: float = 0.0
    fps: float = 24.0
    easing: str = "linear"
    loop: bool = False
    clip: str = ""
    audio: str = ""
    drive: tuple[Drive, ...] = ()
    steady: float = 0.0
    follow: float = 0.0
    blend: float = 0.0
    enlarge: int = 1
    keep_frames: bool = False
    size: str | None = None
    model: str = "emoji"
    dtype: str = "float32"
    taesd: str = ""
    batch_size: int = 8
    mesh: tuple[int, ...] = (-1, 1, 1)

    def __post_init__(self) -> None:
        """Checks what can be checked before anything is read.

        Raises:
          ValueError: a value that is not allowed.
        """
        kinds = (*KINDS, "")
        for name, value, allowed in (
            ("the ending of output", Path(self.output).suffix.lower(), kinds),
            ("easing", self.easing, tuple(EASINGS)),
            ("dtype", self.dtype, tuple(DTYPES)),
        ):
            if value not in allowed:
                listed = ", ".join(one or "none, for a folder" for one in allowed)
                raise ValueError(f"{name} is {value!r}; allowed are {listed}")
        for name, low, high in (
            ("fps", 1, 240),
            ("seconds", 0, MOST_FRAMES),
            ("steady", 0, 1),
            ("follow", 0, 1),
            ("blend", 0, 1),
            ("enlarge", 1, LARGEST),
            ("batch_size", 1, 10_000),
        ):
            if not low <= (value := getattr(self, name)) <= high:
                raise ValueError(f"{name} {value:g} is out of range; allowed is {low} to {high}")
        if not self.key:
            raise ValueError(
                "a video needs key frames: give a [[key]] table for each, or --prompt several times"
            )
        if self.drive and not self.audio:
            raise ValueError("drive needs a sound to follow; give audio, or --audio FILE")
        for name in ("clip", "motion", "steady", "noise"):
            if self.follow and getattr(self, name) != getattr(VideoConfig, name):
                raise ValueError(f"follow and {name} do not go together; give one of them")
        if self.blend and not self.follow:
            raise ValueError("blend is of frames that are made from those before; give follow")
        if self.clip and self.image:
            raise ValueError("clip gives each frame a picture to begin from, and so does image")
        if self.steady and self.motion:
            raise ValueError("steady draws the first frame alone, and motion all frames together")
        if self.steady and self.reference:
            raise ValueError("steady takes the first frame as reference; give one of them")
        in_range(self.settings)

    @property
    def settings(self) -> Settings:
        """What key frames have that say nothing."""
        options = {name: getattr(self, name) for name in OPTIONS} | {"size": self.size}
        if self.motion:
            options["motion_loop"] = self.loop
        if self.clip:
            options["image"] = OF_CLIP
        return Settings(**with_sides(options))


def read_video(
    path: str | None, overrides: Sequence[str] = (), flags: Mapping[str, Any] | None = None
) -> VideoConfig:
    """A video from a TOML file, if one is given, with `key=value` overrides and flags.

    Raises:
      ValueError: not TOML, an unknown or missing key, a value that is not allowed.
      FileNotFoundError: no such file.
    """
    values: dict[str, Any] = {}
    if path is not None:
        if not Path(path).is_file():
            raise FileNotFoundError(f"no video {path}; see configs/video/")
        values = toml_of(read_text(path), path)
    values = overridden(values, overrides) | dict(flags or {})
    try:
        return built(VideoConfig, values)
    except ValueError as error:
        raise ValueError(f"{path}: {error}" if path else str(error)) from None


def key_frames(prompts: Sequence[str], seeds: Sequence[int]) -> list[dict[str, Any]]:
    """Key frames of prompts and seeds; one of either is that of all.

    Raises:
      ValueError: several of both, and not as many.
    """
    count = max(len(prompts), len(seeds))
    for name, given in (("prompt", prompts), ("seed", seeds)):
        if len(given) not in (0, 1, count):
            raise ValueError(
                f"{len(given)} of --{name} do not fit {count} key frames; give one, or {count}"
            )
    each = {"prompt": prompts, "seed": seeds}
    return [{name: own[i % len(own)] for name, own in each.items() if own} for i in range(count)]
