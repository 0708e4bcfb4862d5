"""What a sound does over time, from its short-time Fourier transform: librosa's definitions.

Everything is a value for each hop of `HOP` samples; hop i is around sample i * HOP.
"""

import numpy as np

WINDOW, HOP = 2048, 512
"""Samples of a window, and from one to the next."""
MELS = 128
LEAST_POWER = 1e-10
DYNAMIC = 80.0
"""Decibels below the loudest that count."""
BLOCK = 1024
"""Windows that are transformed at a time."""

BANDS = {"bass": (20.0, 250.0), "mids": (250.0, 4000.0), "treble": (4000.0, 20_000.0)}
"""Name -> frequencies, in hertz."""

BEATS_PER_MINUTE = 120.0
"""The usual tempo, from which others are less likely by the octave (Ellis 2007)."""
TIGHTNESS = 100.0
"""How much beats keep to the tempo (Ellis 2007, the weight of equation 5)."""


def power(mono: np.ndarray) -> np.ndarray:
    """Power of each frequency, float32 [WINDOW / 2 + 1, hops]; zeros stand around the sound.

    `librosa.stft`, squared, with its Hann window.
    """
    padded = np.pad(mono, WINDOW // 2)
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)
    found = np.empty((WINDOW // 2 + 1, len(windows)), np.float32)
    for first in range(0, len(windows), BLOCK):
        part = np.fft.rfft(windows[first : first + BLOCK] * hann)
        found[:, first : first + BLOCK] = (part.real**2 + part.imag**2).T
    return found


def loudness(mono: np.ndarray) -> np.ndarray:
    """Root of the mean square of each window; `librosa.feature.rms`."""
    squares = np.concatenate([[0.0], np.cumsum(np.pad(mono, WINDOW // 2).astype(np.float64) ** 2)])
    sums = (squares[WINDOW:] - squares[:-WINDOW])[::HOP]
    return np.sqrt(sums.clip(0) / WINDOW)


def band(spectrum: np.ndarray, rate: int, low: float, high: float) -> np.ndarray:
    """Root of the mean power of some frequencies."""
    frequencies = np.fft.rfftfreq(WINDOW, 1 / rate)
    chosen = (frequencies >= low) & (frequencies < high)
    if not chosen.any():  # a sound of few samples in a second has no treble
        return np.zeros(spectrum.shape[1])
    return np.sqrt(spectrum[chosen].mean(axis=0, dtype=np.float64))


def mel_filters(rate: int) -> np.ndarray:
    """Slaney's mel filters of equal area, [MELS, WINDOW / 2 + 1]; `librosa.filters.mel`."""
    frequencies = np.fft.rfftfreq(WINDOW, 1 / rate)
    edges = _hertz(np.linspace(0, _mel(rate / 2), MELS + 2))
    rising = (frequencies - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - frequencies) / np.diff(edges)[1:, None]
    height = 2 / (edges[2:] - edges[:-2])
    return np.minimum(rising, falling).clip(0) * height[:, None]


# Slaney's scale: linear up to 1000 hertz, which are 15 mels, then by the logarithm.
_BEND, _LINEAR, _STEP = 1000.0, 200 / 3, np.log(6.4) / 27


def _mel(hertz: float) -> float:
    if hertz < _BEND:
        return hertz / _LINEAR
    return _BEND / _LINEAR + np.log(hertz / _BEND) / _STEP


def _hertz(mels: np.ndarray) -> np.ndarray:
    bend = _BEND / _LINEAR
    return np.where(mels < bend, mels * _LINEAR, _BEND * np.exp(_STEP * np.maximum(mels - bend, 0)))


def onsets(spectrum: np.ndarray, rate: int) -> np.ndarray:
    """How much louder the mel bands became since the hop before, in decibels.

    `librosa.onset.onset_strength` with its defaults (spectral flux, Boeck and Widmer 2013).
    """
    mels = mel_filters(rate) @ spectrum
    decibels = 10 * np.log10(np.maximum(mels, LEAST_POWER))
    decibels = np.maximum(decibels, decibels.max() - DYNAMIC)
    flux = np.diff(decibels, axis=1).clip(0).mean(axis=0)
    # The window sees an onset before its middle does.
    late = 1 + WINDOW // (2 * HOP)
    return np.concatenate([np.zeros(late), flux])[: spectrum.shape[1]]


def hops_of_a_beat(strength: np.ndarray, rate: int) -> float:
    """Hops between beats: the lag at which onsets fit to themselves best (Ellis 2007, 3.2)."""
    centred = strength - strength.mean()
    size = 1 << (2 * len(centred) - 1).bit_length()
    fit = np.fft.irfft(np.abs(np.fft.rfft(centred, size)) ** 2)[: len(centred)]
    lags = np.arange(1, min(len(centred), int(4 * rate / HOP)))
    octaves = np.log2(60 * rate / (HOP * lags) / BEATS_PER_MINUTE)
    return float(lags[(fit[lags] * np.exp(-0.5 * octaves**2)).argmax()])


def beats(strength: np.ndarray, rate: int) -> np.ndarray:
    """The hops of the beats, by dynamic programming (Ellis 2007, equations 5 and 6)."""
    if len(strength) < 3 or not strength.any():
        return np.zeros(0, int)
    period = hops_of_a_beat(strength, rate)
    wide = np.arange(-period, period + 1)
    pulse = np.exp(-0.5 * (wide * 32 / period) ** 2)
    own = np.convolve(strength / strength.std(), pulse, "full")
    own = own[len(pulse) // 2 :][: len(strength)]
    back = np.arange(-round(2 * period), -round(period / 2) + 1)
    cost = -TIGHTNESS * np.log(-back / period) ** 2
    total, before = own.copy(), np.full(len(own), -1)
    for i in range(len(own)):
        places = i + back
        fits = np.where(places >= 0, total[places.clip(0)] + cost, -np.inf)
        if (best := fits.max()) > 0:
            total[i], before[i] = own[i] + best, places[fits.argmax()]
    peaks = np.flatnonzero((total[1:-1] > total[:-2]) & (total[1:-1] >= total[2:])) + 1
    strong = peaks[2 * total[peaks] > np.median(total[peaks])] if len(peaks) else peaks
    found = [int(strong[-1]) if len(strong) else int(total.argmax())]
    while before[found[-1]] >= 0:
        found.append(int(before[found[-1]]))
    hops = np.array(found[::-1])
    loud = np.flatnonzero(own[hops] > 0.5 * np.sqrt(np.mean(own[hops] ** 2)))
    return hops[loud[0] : loud[-1] + 1]
