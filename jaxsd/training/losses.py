"""Timesteps, noise, targets and loss weights of training."""

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxsd.schedulers import NoiseSchedule
from jaxsd.training.config import LossConfig
from jaxsd.training.step import Mean
from jaxsd.types import Array

BUCKETS = 4
"""Equal parts of 0..T whose losses are logged separately."""


class Noising(NamedTuple):
    """Everything about noise that a loss needs."""

    alpha: Array  # [T] float32
    sigma: Array  # [T] float32
    weight: Array  # [T] float32, of the squared error
    below: Array  # [K+1] float32, see `shares_below`
    prediction: str
    offset: float


def noising(schedule: NoiseSchedule, prediction: str, config: LossConfig) -> Noising:
    """The tables of a run.

    Raises:
      ValueError: see `shares_below`.
    """
    weight = np.ones(schedule.train_steps)
    if config.min_snr_gamma:
        weight = min_snr_weight(schedule, prediction, config.min_snr_gamma)
        if prediction == "v" and schedule.alpha[-1] == 0:
            warnings.warn(
                "min-SNR weights with v-prediction and zero terminal SNR are nearly 0 at the noisy "
                "timesteps, where the text decides; leave out loss.min_snr_gamma",
                stacklevel=2,
            )
    tables = (schedule.alpha, schedule.sigma, weight, shares_below(config.timestep_density))
    return Noising(*(jnp.asarray(x, jnp.float32) for x in tables), prediction, config.offset_noise)


def min_snr_weight(schedule: NoiseSchedule, prediction: str, gamma: float) -> np.ndarray:
    """Weight of each timestep's squared error, [T] (Hang et al. 2023, section 3.4).

    It is min(SNR, gamma) for the error of x0, divided by SNR for the error of epsilon, and by
    SNR + 1 for that of v.
    """
    signal = schedule.alphas_cumprod
    clipped = np.minimum(signal, gamma * (1 - signal))  # min(SNR, gamma) * sigma^2
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            # Without signal it is the limit: min(SNR, gamma) / SNR = 1.
            "epsilon": np.where(signal > 0, clipped / signal, 1.0),
            "v": clipped,  # SNR + 1 = 1 / sigma^2
            "sample": clipped / (1 - signal),
        }[prediction]


def shares_below(density: Sequence[float]) -> np.ndarray:
    """Share of all draws that lies below each edge of K equal parts of [0, T], [K+1] float64.

    Strictly rising, so that it can be inverted: a part of density 0 gets a millionth.

    Raises:
      ValueError: numbers that are not a density.
    """
    rate = np.asarray(density, np.float64)
    if not (rate.size and np.isfinite(rate).all() and (rate >= 0).all() and rate.any()):
        raise ValueError(
            f"loss.timestep_density is {list(density)}, it must be numbers of 0 or more that are "
            "not all 0"
        )
    rate = np.maximum(rate / rate.sum(), 1e-6)
    return np.concatenate([[0.0], np.cumsum(rate) / rate.sum()])


def stratified_timesteps(key: Array, batch: int, below: Array, train_steps: int) -> Array:
    """One timestep in each of B equally likely strata, [B] int32 (Kingma et al. 2021, I.1).

    Args:
      key: consumed.
      below: as from `shares_below`.
    """
    share = (jnp.arange(batch) + jax.random.uniform(key)) / batch
    place = jnp.interp(share, below, jnp.linspace(0, train_steps, len(below)))
    return jnp.minimum(place.astype(jnp.int32), train_steps - 1)


def noise_like(key: Array, latents: Array, offset: float) -> Array:
    """Unit noise [B, h, w, c], plus noise of deviation `offset` per image and channel."""
    key, key_offset = jax.random.split(key)
    noise = jax.random.normal(key, latents.shape)
    if not offset:
        return noise
    batch, channels = latents.shape[0], latents.shape[-1]
    return noise + offset * jax.random.normal(key_offset, (batch, 1, 1, channels))


def target(prediction: str, alpha: Array, sigma: Array, x0: Array, noise: Array) -> Array:
    """What the network should predict at x = alpha*x0 + sigma*noise.

    v = alpha*noise - sigma*x0 (Salimans and Ho 2022, section 4).
    """
    return {"epsilon": noise, "v": alpha * noise - sigma * x0, "sample": x0}[prediction]


def losses_by_noise(error: Array, t: Array, train_steps: int) -> dict[str, Mean]:
    """Mean error of the images in each of `BUCKETS` equal parts of 0..T."""
    member = jax.nn.one_hot(t * BUCKETS // train_steps, BUCKETS)  # [B, BUCKETS]
    totals, counts = (error[:, None] * member).sum(0), member.sum(0)
    return {
        f"loss_t{i * train_steps // BUCKETS:03d}": Mean(totals[i], counts[i])
        for i in range(BUCKETS)
    }
