"""What a model of arrays is, and how it stands in JSON."""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from jaxsd.config import Level, ScheduleConfig, UNetConfig
from jaxsd.schedulers import NoiseSchedule

PREDICTIONS = ("epsilon", "v", "sample")
GROUPS = 8
"""Groups of norms, where they divide the widths."""


@dataclass(frozen=True)
class ArraySpec:
    """A model of arrays whose rows have one shape.

    Attributes:
      shape: of a row, [T, C] or [H, W, C].
      channels: widths of the U-Net's levels; each but the first halves the sides.
      resnets: of a level on the way down.
      heads: of the attention in the middle.
      time_axis: of data [N, *shape], along which the beginning may be known: 1 to the last.
      told: whether the network is told which numbers of a row are known, and these.
      prediction: what the network gives: "epsilon", "v" or "sample".
      zero_terminal_snr: whether the noise schedule ends without any signal.
      mean: [C], of the data; the network sees (x - mean) / deviation.
      deviation: [C], above 0.
    """

    shape: tuple[int, ...]
    channels: tuple[int, ...]
    resnets: int
    heads: int
    time_axis: int
    told: bool
    prediction: str
    zero_terminal_snr: bool
    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    def __post_init__(self) -> None:
        """Checks the numbers.

        Raises:
          ValueError: no such axis or prediction, or numbers that make no network.
        """
        if self.prediction not in PREDICTIONS:
            raise ValueError(
                f"prediction is {self.prediction!r}, it must be one of {', '.join(PREDICTIONS)}"
            )
        if not 1 <= self.time_axis <= len(self.shape):
            raise ValueError(
                f"time_axis is {self.time_axis}, and data {['N', *self.shape]} have 1 to "
                f"{len(self.shape)}"
            )
        _ = self.unet

    @property
    def times(self) -> int:
        """Length of the time axis."""
        return self.shape[self.time_axis - 1]

    @property
    def unet(self) -> UNetConfig:
        """The network: that of Stable Diffusion, with one empty token in place of a text."""
        own = self.shape[-1]
        levels = tuple(Level(width, self.resnets, 0, self.heads) for width in self.channels)
        inputs = 3 * own if self.told else own
        groups = math.gcd(GROUPS, *self.channels)
        return UNetConfig(levels, 1, 1, inputs, own, groups)

    @property
    def sides(self) -> tuple[int, int]:
        """Height and width of what the network sees; a series is one pixel wide."""
        return self.shape[0], self.shape[1] if len(self.shape) == 3 else 1

    @property
    def schedule(self) -> NoiseSchedule:
        """The noise, Stable Diffusion's."""
        return NoiseSchedule.from_config(ScheduleConfig(zero_terminal_snr=self.zero_terminal_snr))

    def standardised(self, rows: np.ndarray) -> np.ndarray:
        """Rows [N, *shape] -> what the network sees, [N, h, w, C] float32."""
        seen = (rows - np.float32(self.mean)) / np.float32(self.deviation)
        return seen.astype(np.float32).reshape(len(rows), *self.sides, self.shape[-1])

    def restored(self, seen: np.ndarray) -> np.ndarray:
        """The reverse of `standardised`."""
        rows = seen * np.float32(self.deviation) + np.float32(self.mean)
        return rows.reshape(len(rows), *self.shape)

    def past(self, ends: np.ndarray) -> np.ndarray:
        """True before the time `ends` [N] of each row, [N, *shape] bool."""
        before = np.arange(self.times) < ends[:, None]
        around = [1] * len(self.shape)
        around[self.time_axis - 1] = self.times
        return np.broadcast_to(before.reshape(-1, *around), (len(ends), *self.shape))

    def table(self) -> dict[str, Any]:
        """The numbers, as `jaxsd.typed.built` takes them."""
        return asdict(self)


def moments(rows: np.ndarray, name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel of [N, ..., C], in float64.

    Raises:
      ValueError: a channel that never changes.
    """
    axes = tuple(range(rows.ndim - 1))
    mean, deviation = rows.mean(axes, dtype=np.float64), rows.std(axes, dtype=np.float64)
    constant = np.ptp(rows.reshape(-1, rows.shape[-1]), axis=0) == 0
    if constant.any():
        channel = int(np.argmax(constant))
        raise ValueError(
            f"{name}: channel {channel} is {mean[channel]:g} everywhere, so there is nothing to "
            "learn; leave it out"
        )
    return tuple(mean.tolist()), tuple(deviation.tolist())
