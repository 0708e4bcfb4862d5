"""What resnets add for the time, for all rows before the loop: it does not depend on the sample.

The kernels, 56 MB of SD 1.5's 1.7 GB in 16 bits, are then read once, and not in each row.
"""

from functools import partial

import jax
import jax.numpy as jnp

from jaxsd.models.times import times_of
from jaxsd.sampling.call import Conditions, Networks, branched, chosen, splits_weights
from jaxsd.sampling.loop import Step
from jaxsd.types import Params

MOST = 2**26
"""Bytes that are kept at most. SD 1.5 in 16 bits has 40 KB for a branch of a row."""


def with_times(networks: Networks, params: Params, steps: Step, conditions: Conditions) -> Step:
    """The rows of a run, with their `times` where these are known and take `MOST` bytes at most.

    They are not known where features tell the U-Net a label. On a mesh that splits weights, these
    are put together in each row.

    Args:
      networks: of the model.
      params: of all networks.
      steps: leaves [S, B, ...].
      conditions: of B images.
    """
    unet, which = networks.unet, steps.columns["which"]
    config, branches = unet.config, which.shape[-1]
    labelled = config.noise_levels is not None or config.label_dim is not None
    if labelled or splits_weights(networks.mesh):
        return steps
    told = [jnp.repeat(steps.row.timestep, branches, axis=1)]
    told += jax.tree.map(lambda a: jax.vmap(partial(chosen, a))(which), list(conditions[1:3]))
    if config.guidance_dim is not None:
        scale = branched(conditions.guidance, branches)
        told.append(jnp.broadcast_to(scale, (len(which), *scale.shape)))
    of_calls = jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), told)
    times = times_of(config, unet.dtype, params["unet"], *of_calls)
    if sum(own.nbytes for own in times.values()) > MOST:
        return steps
    return steps._replace(
        times={path: own.reshape(*which.shape, -1) for path, own in times.items()}
    )
