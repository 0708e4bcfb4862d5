"""What moves with a sound: a number for each frame, 0 to 1, and what it is added to."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from jaxsd.video.hearing import BANDS, HOP, band, beats, loudness, onsets, power
from jaxsd.video.sound import Sound

HEARD: dict[str, Callable[[np.ndarray, np.ndarray, int], np.ndarray]] = {
    "loudness": lambda mono, spectrum, rate: loudness(mono),
    "onsets": lambda mono, spectrum, rate: onsets(spectrum, rate),
    "beats": lambda mono, spectrum, rate: _pulses(onsets(spectrum, rate), rate),
    **{
        name: lambda mono, spectrum, rate, ends=ends: band(spectrum, rate, *ends)
        for name, ends in BANDS.items()
    },
}
"""Name -> function of a sound, its power and its rate that gives a number for each hop."""

MOVED = ("walk", "zoom", "guidance_scale", "lora", "control", "ip_adapter")
"""The speed of the walk, or what the number is added to; of lists it is all weights."""
LARGEST_AMOUNT = 1000


@dataclass(frozen=True, kw_only=True)
class Drive:
    """Something that moves with the sound.

    Attributes:
      by: what is heard: a name of `HEARD`.
      moves: what moves: a name of `MOVED`.
      amount: what is added where the sound has most of it; of the walk, the share of its speed
        that follows the sound, 0 to 1.
      decay: seconds in which it falls to a third after a peak.
    """

    by: str
    moves: str
    amount: float = 1.0
    decay: float = 0.0

    def __post_init__(self) -> None:
        """Checks names and ranges.

        Raises:
          ValueError: a value that is not allowed.
        """
        for name, allowed in (("by", tuple(HEARD)), ("moves", MOVED)):
            if (value := getattr(self, name)) not in allowed:
                raise ValueError(f"drive.{name} {value!r} is not one of {', '.join(allowed)}")
        low, high = (0, 1) if self.moves == "walk" else (-LARGEST_AMOUNT, LARGEST_AMOUNT)
        for name, least, most in (("amount", low, high), ("decay", 0, 60)):
            if not least <= (value := getattr(self, name)) <= most:
                raise ValueError(
                    f"drive.{name} {value:g} is out of range; allowed is {least} to {most} for "
                    f"what moves the {self.moves}"
                )


def followed(drives: tuple[Drive, ...], sound: Sound, frames: int, fps: float) -> np.ndarray:
    """The number of each drive for each frame, 0 to 1, float64 [drives, frames]."""
    mono, rate = sound.mono, sound.rate
    spectrum, found = power(mono), {}
    for name in {drive.by for drive in drives}:
        found[name] = per_frame(HEARD[name](mono, spectrum, rate), rate, frames, fps)
    return np.array([decayed(found[drive.by], drive.decay * fps) for drive in drives])


def per_frame(hops: np.ndarray, rate: int, frames: int, fps: float) -> np.ndarray:
    """Numbers of hops as numbers of frames: the largest in half a frame around its beginning.

    The largest of all is 1. Behind the sound's end they are 0.
    """
    ends = (np.arange(frames + 1) - 0.5) * rate / (fps * HOP)
    first = np.ceil(ends).astype(int).clip(0, len(hops))
    found = np.zeros(frames)
    for i, (low, high) in enumerate(itertools.pairwise(first)):
        nearest = min(round((ends[i] + ends[i + 1]) / 2), len(hops) - 1)
        found[i] = hops[low:high].max() if high > low else hops[nearest] * (low < len(hops))
    return found / most if (most := found.max()) > 0 else found


def decayed(numbers: np.ndarray, frames: float) -> np.ndarray:
    """Numbers that fall no faster than to 1/e in so many frames."""
    if frames <= 0:
        return numbers
    found, kept = numbers.copy(), np.exp(-1 / frames)
    for i in range(1, len(found)):
        found[i] = max(found[i], found[i - 1] * kept)
    return found


def warped(times: np.ndarray, drives: tuple[Drive, ...], numbers: np.ndarray) -> np.ndarray:
    """The times of frames on a walk whose speed follows the sound, and that takes as long in all.

    A drive of amount a makes the speed 1 - a + a f / mean(f); several drives are taken in turn.
    """
    for drive, own in zip(drives, numbers, strict=True):
        if drive.moves == "walk" and own[1:].any() and len(times) > 1:
            speed = 1 - drive.amount + drive.amount * own[1:] / own[1:].mean()
            steps = np.diff(times) * speed
            steps *= (times[-1] - times[0]) / steps.sum()
            times = times[0] + np.concatenate([[0.0], np.cumsum(steps)])
    return times


def _pulses(strength: np.ndarray, rate: int) -> np.ndarray:
    """1 at each beat, 0 between them."""
    pulses = np.zeros(len(strength))
    pulses[beats(strength, rate)] = 1
    return pulses
