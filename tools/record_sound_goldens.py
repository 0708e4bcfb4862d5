"""Records what librosa hears in a sound that is made of numbers.

    pip install librosa
    python tools/record_sound_goldens.py

Writes tests/goldens/sound.npz, with the versions that made it inside.
"""

import sys
from pathlib import Path

import librosa
import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from beats import RATE, beaten  # noqa: E402


def main() -> None:
    """Writes the file."""
    mono = beaten(6.0, 100.0)
    spectrum = np.abs(librosa.stft(mono)) ** 2
    strength = librosa.onset.onset_strength(y=mono, sr=RATE)
    tempo, beats = librosa.beat.beat_track(onset_envelope=strength, sr=RATE)
    np.savez_compressed(
        ROOT / "tests/goldens/sound.npz",
        versions=f"librosa {librosa.__version__}, numpy {np.__version__}",
        power=spectrum[::64, ::16],
        rms=librosa.feature.rms(y=mono, pad_mode="constant")[0],
        mel=librosa.filters.mel(sr=RATE, n_fft=2048)[::16],
        onsets=strength,
        beats=beats,
        tempo=tempo,
    )


if __name__ == "__main__":
    main()
