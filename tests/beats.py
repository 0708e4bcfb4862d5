"""A sound that is made of numbers: drums over a chord."""

import numpy as np

RATE = 22_050


def beaten(seconds: float, tempo: float, rate: int = RATE) -> np.ndarray:
    """Drums at a tempo, each second one softer, over a soft chord, float32 [N]."""
    count = round(seconds * rate)
    time = np.arange(count) / rate
    sound = 0.02 * sum(np.sin(2 * np.pi * pitch * time) for pitch in (220.0, 277.2, 329.6))
    noise = np.random.default_rng(0).standard_normal(count)
    for number, at in enumerate(beat_times(seconds, tempo)):
        since = time - at
        heard = since >= 0
        fading = np.exp(-30 * since[heard]) * (0.8, 0.4)[number % 2]
        drum = np.sin(2 * np.pi * 90 * since[heard]) + 0.3 * noise[heard]
        sound[heard] += fading * drum
    return (sound / np.abs(sound).max()).astype(np.float32)


def beat_times(seconds: float, tempo: float) -> np.ndarray:
    """When the drums are, in seconds."""
    return np.arange(0.25, seconds - 0.1, 60 / tempo)
