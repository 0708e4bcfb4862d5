"""A clip to draw over: its frames, from a folder, an animated picture, or a file of FFmpeg's."""

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxsd.images import ENDINGS, read_image, write_picture
from jaxsd.images.animation import frames_of, times_of
from jaxsd.images.opening import MAX_PIXELS

MOST_TIMES = 1_000_000
"""Frames of a clip that are looked at."""

_ALONE = {
    "format_whitelist": "mov,matroska,webm,avi,mpegts,mpeg,ogg,flv,asf",
    "protocol_whitelist": "file",
}
"""Kinds of films. FFmpeg would also play texts, and lists of other files and of addresses."""


class Source(NamedTuple):
    """A clip."""

    path: Path
    times: np.ndarray  # [N] seconds, when each frame begins
    seconds: float  # of all

    def numbers(self, count: int, fps: float) -> list[int]:
        """Which of its frames is seen at each of so many; behind its end the last one.

        A quarter of a frame later, since times in files are rounded.
        """
        at = (np.arange(count) + 0.25) / fps
        found = np.searchsorted(self.times, at, side="right") - 1
        return [int(number) for number in found.clip(0)]


def open_source(path: str, fps: float) -> Source:
    """The times of a clip's frames.

    Args:
      path: of a file, or of a folder of pictures, which are taken in the order of their names.
      fps: frames in a second of a folder's.

    Raises:
      ValueError: it has no frames, or what reads it is not installed.
      OSError: it is not there, or cannot be read.
    """
    place = Path(path)
    if not place.exists():
        raise FileNotFoundError(f"clip: there is no file or folder {path!r}")
    if place.is_dir():
        durations = [1 / fps] * len(_files(place))
    elif place.suffix.lower() in ENDINGS:
        with _naming(place):
            durations = times_of(place, 1 / fps)
    else:
        durations = _durations_of(place)
    if not durations:
        raise ValueError(f"clip {path} has no pictures")
    if len(durations) > MOST_TIMES:
        raise ValueError(f"clip {path} has {len(durations)} frames; at most {MOST_TIMES} are read")
    ends = np.cumsum(durations)
    return Source(place, np.concatenate([[0.0], ends[:-1]]), float(ends[-1]))


def write_frames(source: Source, numbers: Sequence[int], folder: Path) -> list[Path]:
    """Writes those frames of a clip that are needed as PNGs, if they are not there yet.

    Raises:
      OSError: the clip cannot be read, or a frame not be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    places = {number: folder / f"{number:06d}.png" for number in dict.fromkeys(numbers)}
    missing = {number for number, place in places.items() if not place.is_file()}
    if missing:
        for number, image in enumerate(_frames_of(source.path)):
            if number in missing:
                write_picture(places[number], image)
                missing.remove(number)
            if not missing:
                break
    if missing:
        raise OSError(f"clip {source.path} ends before its frame {min(missing)}")
    return [places[number] for number in numbers]


def source_hash(source: Source) -> str:
    """sha256 of the sha256 of a clip's file, or of those of all pictures of its folder."""
    digest = hashlib.sha256()
    for file in _files(source.path) if source.path.is_dir() else [source.path]:
        with file.open("rb") as opened:
            digest.update(hashlib.file_digest(opened, "sha256").digest())
    return digest.hexdigest()


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.suffix.lower() in ENDINGS)


def _frames_of(path: Path) -> Iterator[np.ndarray]:
    if path.is_dir():
        for file in _files(path):
            with _naming(file):
                yield read_image(file)
    elif path.suffix.lower() in ENDINGS:
        with _naming(path):
            yield from frames_of(path)
    else:
        with _film(path) as film:
            for frame in film.decode(video=0):
                if frame.width * frame.height > MAX_PIXELS:
                    raise OSError(f"clip {path} has frames of {frame.width} x {frame.height}")
                yield frame.to_ndarray(format="rgb24")


def _durations_of(path: Path) -> list[float]:
    """Seconds of each frame of a film, by the times in it; the last lasts as long as that before.

    Raises:
      ValueError: PyAV is not installed.
      OSError: it is no film.
    """
    with _film(path) as film:
        stream = film.streams.video[0]
        unit, packets = float(stream.time_base), film.demux(stream)
        times = sorted(one.pts * unit for one in packets if one.pts is not None)
        usual = 1 / float(stream.average_rate or 24)
    return [*np.diff(times), usual] if times else []


@contextlib.contextmanager
def _film(path: Path) -> Iterator[Any]:
    """A film, opened by PyAV.

    Raises:
      ValueError: PyAV is not installed, or the film has no pictures.
      OSError: it is no film, or damaged.
    """
    try:
        import av
    except ImportError:
        raise ValueError(f"reading {path} needs PyAV: pip install 'jaxsd[video]'") from None
    try:
        with av.open(str(path), options=_ALONE) as file:
            if not file.streams.video:
                raise ValueError(f"clip {path} has no pictures")
            yield file
    except av.error.FFmpegError as error:
        raise OSError(f"clip {path} can not be read as a film: {error.strerror}") from None


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Names the file that can not be read."""
    try:
        yield
    except OSError as error:
        raise OSError(f"clip {path}: {error.strerror or error}") from None
