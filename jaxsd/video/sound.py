"""Files of sound, read whole."""

import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

ENDINGS = (".wav", ".flac", ".ogg", ".mp3")
MOST_SECONDS = 3600
"""Of a sound."""
MOST_SAMPLES = 2 * 48_000 * MOST_SECONDS
"""Of all channels: a sound is held in memory as float32, which is 1.3 GB then."""


class Sound(NamedTuple):
    """A sound in memory."""

    samples: np.ndarray  # [N, C] float32, about [-1, 1]
    rate: int  # samples in a second
    sha256: str  # of its file

    @property
    def seconds(self) -> float:
        """Length."""
        return len(self.samples) / self.rate

    @property
    def mono(self) -> np.ndarray:
        """[N] float32, the mean of the channels."""
        return self.samples.mean(axis=1)


def read_sound(path: str) -> Sound:
    """The sound of a .wav, .flac, .ogg or .mp3 file.

    Raises:
      ValueError: it is no sound, is silent from end to end, or too long; or what reads it is not
        installed.
      OSError: it can not be read.
    """
    try:
        import soundfile
    except ImportError:
        raise ValueError(f"reading {path} needs soundfile: pip install 'jaxsd[video]'") from None
    packed = Path(path)
    if not packed.is_file():
        raise FileNotFoundError(f"audio: there is no file {path!r}")
    if packed.suffix.lower() not in ENDINGS:
        raise ValueError(f"audio {path} does not end with {', '.join(ENDINGS)}")
    try:
        told = soundfile.info(path)
        if told.frames > MOST_SECONDS * told.samplerate:
            raise ValueError(
                f"audio {path} has {told.duration:.0f} seconds; at most {MOST_SECONDS} are read"
            )
        if told.frames * told.channels > MOST_SAMPLES:
            raise ValueError(
                f"audio {path} has {told.frames * told.channels} samples in {told.channels} "
                f"channels; at most {MOST_SAMPLES} are read"
            )
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise ValueError(f"audio {path} can not be read as sound: {error.error_string}") from None
    if not samples.any():
        raise ValueError(f"audio {path} is silent: it has nothing to follow")
    return Sound(samples, rate, hashlib.sha256(packed.read_bytes()).hexdigest())
