"""Runs layers of Keras that a file lists: those of MobileNetV2 (Sandler et al. 2018)."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxsd.types import Array

ACTIVATIONS = {"linear": lambda x: x, "relu": jax.nn.relu, "softmax": jax.nn.softmax}


def run_layers(
    layers: Sequence[Any], weights: Mapping[str, Mapping[str, Array]], images: Array
) -> Array:
    """What the last layer gives for images [B, h, w, 3].

    Args:
      layers: with `name`, `kind`, `inputs` and `settings`, in order.
      weights: by the names of layers.
      images: see above.
    """
    given: dict[str, Array] = {}
    for layer in layers:
        seen = [given[name] for name in layer.inputs] or [images]
        given[layer.name] = _given(layer.kind, layer.settings, weights.get(layer.name, {}), seen)
    return given[layers[-1].name]


def _given(
    kind: str, settings: Mapping[str, Any], own: Mapping[str, Array], seen: Sequence[Array]
) -> Array:
    x = seen[0]
    match kind:
        case "Add":
            return sum(seen[1:], x)
        case "AveragePooling2D":
            size = (1, *settings["pool_size"], 1)
            steps = (1, *settings["strides"], 1)
            total = jax.lax.reduce_window(x, 0.0, jax.lax.add, size, steps, "VALID")
            return total / (size[1] * size[2])
        case "BatchNormalization":
            names = ("moving_mean", "moving_variance", "gamma", "beta")
            mean, variance, gamma, beta = (_along_last(own[name], x) for name in names)
            return (x - mean) / jnp.sqrt(variance + settings["epsilon"]) * gamma + beta
        case "Conv2D" | "DepthwiseConv2D":
            return _convolved(kind, settings, own, x)
        case "Dense":
            return _activated(settings, own, x @ own["kernel"])
        case "Flatten":
            return x.reshape(len(x), -1)
        case "ReLU":
            return jnp.clip(x, 0, settings.get("max_value"))
        case "ZeroPadding2D":
            return jnp.pad(x, ((0, 0), *settings["padding"], (0, 0)))
    return x  # of dropout, which does nothing here, and of the input


def _convolved(kind: str, settings: Mapping[str, Any], own: Mapping[str, Array], x: Array) -> Array:
    groups, kernel = 1, own.get("kernel")
    if kind == "DepthwiseConv2D":  # [h, w, c, 1]
        groups, kernel = x.shape[-1], own["depthwise_kernel"].swapaxes(2, 3)
    numbers = ("NHWC", "HWIO", "NHWC")
    strides, padding = settings["strides"], settings["padding"].upper()
    x = jax.lax.conv_general_dilated(
        x, kernel, strides, padding, dimension_numbers=numbers, feature_group_count=groups
    )
    return _activated(settings, own, x)


def _activated(settings: Mapping[str, Any], own: Mapping[str, Array], x: Array) -> Array:
    if "bias" in own:
        x = x + _along_last(own["bias"], x)
    return ACTIVATIONS[settings["activation"]](x)


def _along_last(vector: Array, x: Array) -> Array:
    """A vector [c] with as many axes as [..., c]."""
    return jnp.expand_dims(vector, range(x.ndim - 1))
