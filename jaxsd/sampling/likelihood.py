"""The log-density along the probability-flow ODE, by Hutchinson's estimator of its divergence.

Song et al. 2021, "Score-based generative modeling through SDEs", equations 39 and 40.
"""

import math
from functools import partial

import jax
import jax.numpy as jnp

from jaxsd.parallel import IMAGES, IMAGES_SECOND, param_specs, per_device
from jaxsd.sampling.call import Conditions, Networks
from jaxsd.sampling.loop import Memory, Network, State, Step, advance
from jaxsd.sampling.program import of_loop
from jaxsd.types import Array, Params

NAME = "likelihood"
"""Of the column [B] with the weight of a row (`trace_weights`), and of the sum in the memory."""


def with_trace(network: Network, keys: Array) -> Network:
    """The network; its memory sums weights times estimates of the trace of its derivative.

    The signs of the estimate are those of the images' keys [B], the same in all rows.
    """

    def traced(x: Array, step: Step, memory: Memory) -> tuple[Array, Memory]:
        rest = {name: own for name, own in memory.items() if name != NAME}
        probe = jax.vmap(lambda key: jax.random.rademacher(key, x.shape[1:], x.dtype))(keys)
        run = partial(network, step=step, memory=rest)
        output, along, rest = jax.jvp(run, (x,), (probe,), has_aux=True)
        trace = (probe * along).sum(range(1, x.ndim))
        return output, rest | {NAME: memory[NAME] + step.columns[NAME] * trace}

    return traced


def log_normal(z: Array) -> Array:
    """The log-density of unit noise [B, ...]: [B]."""
    return -((z**2).sum(range(1, z.ndim)) + z[0].size * math.log(2 * math.pi)) / 2


@partial(jax.jit, static_argnames="networks")
def density(
    networks: Networks,
    params: Params,
    steps: Step,
    conditions: Conditions,
    state: State,
    keys: Array,
) -> Array:
    """That of the noise which rows of `inverted` end with, and the weighted traces on the way: [B].

    As `denoise`, but all rows at once, with the column `likelihood`.
    """

    def run(
        params: Params, steps: Step, conditions: Conditions, state: State, keys: Array
    ) -> Array:
        network, begun, hooks = of_loop(networks, params, steps, conditions, state)
        state = state._replace(memory=begun | {NAME: jnp.zeros(len(keys), jnp.float32)})
        state, _ = advance(steps, with_trace(network, keys), state, keys, **hooks)
        return log_normal(state.samples[:, 0]) + state.memory[NAME]

    specs = param_specs(params, networks.mesh)
    in_specs = (specs, IMAGES_SECOND, IMAGES, IMAGES, IMAGES)
    run = per_device(networks.mesh, run, in_specs, IMAGES)
    return run(params, steps, conditions, state, keys)
