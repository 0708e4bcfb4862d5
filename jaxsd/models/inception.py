"""Inception v3 as FID uses it, built from the table of `jaxsd.inception`."""

import jax.numpy as jnp
from flax import linen as nn

from jaxsd.inception import INCEPTION, Block, Convolution, Pool, Step, Steps
from jaxsd.types import Array


class Branches(nn.Module):
    """Parallel branches, whose channels are concatenated."""

    branches: tuple[Steps, ...]

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[B, h, w, c] -> [B, h', w', c']."""
        return jnp.concatenate([_through(branch, x) for branch in self.branches], axis=-1)


class Inception(nn.Module):
    """Features of pictures. `jaxsd.convert.inception` folds batch norms into convolutions."""

    steps: Steps = INCEPTION

    @nn.compact
    def __call__(self, images: Array) -> Array:
        """[B, h, w, 3] float32 in [-1, 1] -> [B, FEATURES], means over the last map's pixels."""
        return _through(self.steps, images).mean((1, 2))


def _through(steps: Steps, x: Array) -> Array:
    for step in steps:
        x = _one(step, x)
    return x


def _one(step: Step, x: Array) -> Array:
    match step:
        case Convolution(name, channels, kernel, stride, padding):
            strides = (stride, stride)
            return nn.relu(nn.Conv(channels, kernel, strides, padding, name=name)(x))
        case Pool("average"):
            return nn.avg_pool(x, (3, 3), padding="SAME", count_include_pad=False)
        case Pool("max", stride):
            padding = "SAME" if stride == 1 else "VALID"
            return nn.max_pool(x, (3, 3), (stride, stride), padding)
        case Block("", branches):
            return jnp.concatenate([_through(branch, x) for branch in branches], axis=-1)
        case Block(name, branches):
            return Branches(branches, name=name)(x)
