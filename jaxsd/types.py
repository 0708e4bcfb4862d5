"""Words that every floor uses: arrays, parameter trees, predictions, dtypes."""

from dataclasses import dataclass
from typing import Any, Literal

Array = Any
"""A `jax.Array`, or a `numpy.ndarray` on the host."""

Params = dict[str, Any]
"""A plain nested dict of arrays, `{"conv_in": {"kernel": ..., "bias": ...}, ...}`."""

Prediction = Literal["epsilon", "v", "sample"]
PREDICTIONS: tuple[str, ...] = ("epsilon", "v", "sample")


@dataclass(frozen=True)
class Policy:
    """Which dtype parameters are kept in and which one networks compute in.

    Norm statistics, softmax, timestep sinusoids, latents, tables and the sampling loop are
    float32 whatever the policy.
    """

    param: str = "float32"
    compute: str = "float32"
