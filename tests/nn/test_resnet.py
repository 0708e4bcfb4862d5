"""The residual block by its formula, from parts that have tests of their own."""

import jax.numpy as jnp
import numpy as np
import pytest
from tiny_models import apply, random_params, relative_error, uniform

from jaxsd.nn.resnet import ResnetBlock
from jaxsd.types import Array, Params

X = uniform("x", (2, 3, 4, 6))
TIME = uniform("time", (2, 5))


def weights(channels: int, *, time: bool) -> Params:
    """Weights of a block from 6 channels to `channels`."""

    def norm(width: int) -> Params:
        return {"scale": np.zeros(width), "bias": np.zeros(width)}

    def layer(*shape: int) -> Params:
        return {"kernel": np.zeros(shape), "bias": np.zeros(shape[-1])}

    shapes = {"norm1": norm(6), "conv1": layer(3, 3, 6, channels), "norm2": norm(channels)}
    shapes["conv2"] = layer(3, 3, channels, channels)
    if time:
        shapes["time_emb_proj"] = layer(5, channels)
    if channels != 6:
        shapes["conv_shortcut"] = layer(1, 1, 6, channels)
    return random_params(shapes)


def silu(x: Array) -> Array:
    return x / (1 + np.exp(-x))


def normalised(params: Params, x: Array, epsilon: float) -> Array:
    parts = x.reshape(*x.shape[:3], 2, -1)
    mean, variance = (f(parts, axis=(1, 2, 4), keepdims=True) for f in (np.mean, np.var))
    x = ((parts - mean) / np.sqrt(variance + epsilon)).reshape(x.shape)
    return x * params["scale"] + params["bias"]


def conv(params: Params, x: Array) -> Array:
    reach = params["kernel"].shape[0] // 2
    x = np.pad(x, ((0, 0), (reach, reach), (reach, reach), (0, 0)))
    views = np.lib.stride_tricks.sliding_window_view(x, params["kernel"].shape[:2], axis=(1, 2))
    return np.einsum("bijchw,hwco->bijo", views, params["kernel"]) + params["bias"]


def block(params: Params, x: Array, time: Array | None, epsilon: float) -> Array:
    x = x.astype(np.float64)
    h = conv(params["conv1"], silu(normalised(params["norm1"], x, epsilon)))
    if time is not None:
        project = params["time_emb_proj"]
        h = h + (silu(time) @ project["kernel"] + project["bias"])[:, None, None, :]
    h = conv(params["conv2"], silu(normalised(params["norm2"], h, epsilon)))
    return h + (conv(params["conv_shortcut"], x) if "conv_shortcut" in params else x)


@pytest.mark.parametrize("channels", [6, 8])
@pytest.mark.parametrize("time", [TIME, None], ids=["time", "no time"])
def test_block(channels: int, time: Array | None) -> None:
    params = weights(channels, time=time is not None)
    inputs = {"x": X} | ({} if time is None else {"time": silu(time)})
    got = apply(ResnetBlock(channels, 2, 1e-5, jnp.float32), params, **inputs)
    assert relative_error(got, block(params, X, time, 1e-5)) < 1e-6


def test_epsilon_reaches_both_norms() -> None:
    params = weights(6, time=False)
    params["conv1"]["kernel"] = params["conv1"]["kernel"] * 1e-3
    params["conv1"]["bias"] = params["conv1"]["bias"] * 1e-3
    x = 1e-3 * X
    got = apply(ResnetBlock(6, 2, 1e-6, jnp.float32), params, x=x)
    assert relative_error(got, block(params, x, None, 1e-6)) < 1e-6
    assert relative_error(got, block(params, x, None, 1e-5)) > 1e-3
