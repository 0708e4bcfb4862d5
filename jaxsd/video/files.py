"""The file of a video: MP4 and WebM with sound, GIF, animated PNG and WebP, or a folder."""

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxsd.images import png_bytes
from jaxsd.images.animation import write_animation
from jaxsd.video.sound import Sound
from jaxsd.writing import replacing

TEXT = "jaxsd"
"""Name of the text that has the recipe."""
BT601 = 6
"""FFmpeg's number of the matrix that makes luma of RGB in SMPTE 170M."""
LARGEST_TERM = 1001
"""Of the fraction that a number of frames in a second is, as in 30000/1001."""


class Film(NamedTuple):
    """What goes into a file."""

    frames: Iterable[np.ndarray]  # uint8 [H, W, 3] of one size
    count: int
    fps: float
    recipe: str
    sound: Sound | None = None

    @property
    def rate(self) -> Fraction:
        """Frames in a second."""
        return Fraction(self.fps).limit_denominator(LARGEST_TERM)


class Codecs(NamedTuple):
    """How a kind of file stores pictures and sound."""

    kind: str
    video: str
    options: dict[str, str]  # of the pictures; one thread, so that bytes are the same everywhere
    audio: str
    rate: int | None  # samples in a second; None for those of the sound, where the codec has them


X264 = {"crf": "18", "preset": "medium", "threads": "1", "x264-params": "cpu-independent=1"}
"""The last one: with AVX-512 x264 gave other bytes from run to run without it."""

CODECS = {
    ".mp4": Codecs("mp4", "libx264", X264, "aac", None),
    ".webm": Codecs(
        "webm", "libvpx-vp9", {"crf": "24", "b": "0", "threads": "1"}, "libopus", 48_000
    ),
}
AAC_RATES = (96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 8_000)
"""Samples in a second that AAC has, of which not every sound is one."""
SILENT = {".gif": "gif", ".png": "png", ".webp": "webp"}
KINDS = (*CODECS, *SILENT)
"""Endings of files."""


def check_kind(path: Path, *, sounds: bool) -> str:
    """What to say of a file's kind, if anything: that it has no sound.

    Raises:
      ValueError: what writes it is not installed.
    """
    if path.suffix.lower() in CODECS:
        try:
            import av  # noqa: F401
        except ImportError:
            raise ValueError(f"writing {path} needs PyAV: pip install 'jaxsd[video]'") from None
        return ""
    return f"{path}: the sound moves the frames, and this kind of file has none" if sounds else ""


def write_film(path: Path, film: Film, done: Callable[[int], Any]) -> str:
    """Writes the file, whole or not at all; a folder gets a PNG for each frame.

    Args:
      path: of a kind in `KINDS`, or a folder.
      film: what it shows.
      done: called with 1 for each frame.

    Returns:
      What to say of it, if anything: a side that was not even has a line more.
    """
    ending, even = path.suffix.lower(), []

    def counted(frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        for frame in frames:
            done(1)
            yield _even(frame, even) if ending in CODECS else frame

    film = film._replace(frames=counted(film.frames))
    if not ending:
        path.mkdir(exist_ok=True)
        for number, frame in enumerate(film.frames):
            with replacing(path / f"{number:06d}.png") as part:
                part.write_bytes(png_bytes(frame, {TEXT: film.recipe}))
        return ""
    with replacing(path) as part:
        if ending in SILENT:
            texts = {TEXT: film.recipe}
            write_animation(part, SILENT[ending], film.frames, film.fps, texts)
        else:
            _encode(part, CODECS[ending], film)
    return even[0] if even else ""


def _even(frame: np.ndarray, said: list[str]) -> np.ndarray:
    """A frame whose sides are even, which codecs need: the last line and column may be repeated."""
    height, width = frame.shape[:2]
    more = height % 2, width % 2
    if any(more) and not said:
        said.append(
            f"{width}x{height} became {width + more[1]}x{height + more[0]}: sides must be even"
        )
    return np.pad(frame, ((0, more[0]), (0, more[1]), (0, 0)), "edge") if any(more) else frame


def _encode(path: Path, codecs: Codecs, film: Film) -> None:
    import av

    # Without these flags files have numbers drawn by chance, and the names of versions.
    options = {"fflags": "+bitexact"} | ({"movflags": "+faststart"} if codecs.kind == "mp4" else {})
    with av.open(str(path), "w", format=codecs.kind, options=options) as file:
        file.metadata["comment"] = film.recipe
        pictures = file.add_stream(codecs.video, rate=film.rate, options=codecs.options)
        pictures.pix_fmt = "yuv420p"
        pictures.codec_context.colorspace = BT601  # what PyAV makes of RGB
        sound = film.sound and _sound_stream(file, codecs, film.sound)
        for number, image in enumerate(film.frames):
            if number == 0:
                pictures.height, pictures.width = image.shape[:2]
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = number, 1 / film.rate
            file.mux(pictures.encode(frame))
        file.mux(pictures.encode())
        if sound:
            _mux_sound(file, sound, film)


def _sound_stream(file: Any, codecs: Codecs, sound: Sound) -> Any:
    rate = codecs.rate or min(AAC_RATES, key=lambda rate: abs(rate - sound.rate))
    stream = file.add_stream(codecs.audio, rate=rate)
    stream.layout = "mono" if sound.samples.shape[1] == 1 else "stereo"
    return stream


def _mux_sound(file: Any, stream: Any, film: Film) -> None:
    """The sound up to the end of the pictures, in two channels at most."""
    import av

    own = film.sound
    samples = own.samples[: round(film.count / film.rate * own.rate), :2]
    resampler = av.AudioResampler(stream.format, stream.layout, stream.rate)
    packed = np.ascontiguousarray(samples.T)
    frame = av.AudioFrame.from_ndarray(packed, format="fltp", layout=stream.layout.name)
    frame.rate, frame.pts = own.rate, 0
    for part in (*resampler.resample(frame), *resampler.resample(None)):
        file.mux(stream.encode(part))
    file.mux(stream.encode())
