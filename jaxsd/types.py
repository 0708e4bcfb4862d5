"""Types that the whole package uses: arrays, parameter trees, predictions, dtypes."""

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
    """The dtype that parameters are kept in, and the dtype that networks compute in.

    Norm statistics, softmax, timestep sinusoids, latents, tables and the sampling loop are
    always float32.
    """

    param: str = "float32"
    compute: str = "float32"
