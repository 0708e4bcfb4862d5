"""What the resnets of a U-Net add for the time, for many calls at once."""

import jax.numpy as jnp
from flax import linen as nn

from jaxsd.config import UNetConfig
from jaxsd.models.unet import OF_TIME, embed_time
from jaxsd.nn.activations import silu
from jaxsd.nn.products import one_by_one
from jaxsd.types import Array, Params


class TimeNetwork(nn.Module):
    """The part of a `UNet` that makes silu of the time embedding, with the same parameters."""

    config: UNetConfig
    dtype: jnp.dtype

    @nn.compact
    def __call__(
        self, timestep: Array, pooled: Array | None, time_ids: Array | None, guidance: Array | None
    ) -> Array:
        """[N], and conditions [N, ...] as `UNet` takes them -> [N, time_dim]."""
        conditions = {"pooled": pooled, "time_ids": time_ids, "guidance": guidance}
        return silu(embed_time(self.config, self.dtype, timestep, len(timestep), **conditions))


def times_of(
    config: UNetConfig,
    dtype: jnp.dtype,
    params: Params,
    timestep: Array,
    pooled: Array | None = None,
    time_ids: Array | None = None,
    guidance: Array | None = None,
) -> dict[str, Array]:
    """What `UNet.around` takes as `times`: path of a layer -> [N, width] in `dtype`.

    Args:
      config: of a U-Net without labels.
      dtype: dtype to compute in.
      params: of the U-Net.
      timestep: [N]; this and the others as in `UNet`.
      pooled: [N, pooled_dim].
      time_ids: [N, n].
      guidance: [N].
    """
    network = TimeNetwork(config, dtype)
    time = network.apply({"params": params}, timestep, pooled, time_ids, guidance)
    return one_by_one(params, time, OF_TIME, dtype)
