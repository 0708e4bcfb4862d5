"""Hypernetworks: a few dense layers whose output is added to tokens."""

from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp

from jaxsd.config import HypernetConfig
from jaxsd.types import Array

EPSILON = 1e-5
"""Of the norms."""
ACTIVATIONS: Mapping[str, Callable[[Array], Array]] = {
    "linear": lambda x: x,
    "relu": jax.nn.relu,
    "leakyrelu": jax.nn.leaky_relu,
    "elu": jax.nn.elu,
    "swish": jax.nn.hard_swish,
    "tanh": jnp.tanh,
    "sigmoid": jax.nn.sigmoid,
    "softsign": jax.nn.soft_sign,
    "mish": jax.nn.mish,
}
"""webui's names; its "swish" is the hard one."""


def change_of(config: HypernetConfig, layers: Sequence[Mapping[str, Array]], x: Array) -> Array:
    """What is added to tokens [N, L, d], in float32."""
    x = x.astype(jnp.float32)
    for number, layer in enumerate(layers):
        x = jnp.einsum("nld,de->nle", x, layer["kernel"]) + layer["bias"][None, None]
        if number + 1 < len(layers) or config.activates_output:
            x = ACTIVATIONS[config.activation](x)
        if "scale" in layer:
            mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
            x = (x - mean) * jax.lax.rsqrt(variance + EPSILON)
            x = x * layer["scale"][None, None] + layer["shift"][None, None]
    return x
