"""What is computed again for the gradient changes what is kept, and no number."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_models import TINY, abstract_unet, random_params, unet_inputs, uniform

from jaxsd.config import ControlNetConfig
from jaxsd.models import ControlNet, UNet
from jaxsd.models.remat import REMAT
from jaxsd.models.unet import DownBlock
from jaxsd.types import Array, Params

CONFIG = replace(TINY["lcm"].unet, levels=TINY["lcm"].unet.levels[:1], guidance_dim=None)
INPUTS = {"x": (2, 4, 4, 32), "time": (2, 128), "context": (2, 5, 32)}


def loss(remat: str, params: Params, inputs: dict[str, Array]) -> Array:
    return jnp.square(UNet(CONFIG, remat=remat).apply({"params": params}, **inputs)).mean()


def test_policies_give_the_same_gradients() -> None:
    level = CONFIG.levels[0]
    inputs = [uniform(name, shape) for name, shape in INPUTS.items()]
    key, gradients = jax.random.key(0), {}
    params = jax.eval_shape(DownBlock(level, 8, False, jnp.float32).init, key, *inputs)["params"]
    params = random_params(params)
    for name in REMAT:
        block = DownBlock(level, 8, False, jnp.float32, name)

        @jax.jit
        def gradient(params: Params, block: DownBlock = block) -> Params:
            return jax.grad(lambda p: (block.apply({"params": p}, *inputs)[0] ** 2).mean())(params)

        gradients[name] = gradient(params)
    for name in ("minimal", "full"):
        got, want = (jax.tree.leaves(gradients[n]) for n in (name, "none"))
        for a, b in zip(got, want, strict=True):
            # The same operations; XLA may fuse, and so round, them otherwise.
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5 * np.abs(b).max())


def test_policies_keep_less() -> None:
    params, inputs = abstract_unet(CONFIG), unet_inputs(CONFIG, size=(16, 16))

    def kept(name: str) -> int:
        """Bytes that the gradient has from the forward pass, but for parameters and inputs."""
        found = jax.eval_shape(lambda p: jax.vjp(lambda p: loss(name, p, inputs), p)[1], params)
        leaves = jax.tree.leaves(found)
        return sum(leaf.size * leaf.dtype.itemsize for leaf in leaves)

    everything, minimal, full = (kept(name) for name in ("none", "minimal", "full"))
    assert full < 0.7 * minimal
    assert minimal < 0.7 * everything


@pytest.mark.parametrize("name", ["minimal", "full"])
def test_parameters_keep_their_paths(name: str) -> None:
    key, inputs = jax.random.key(0), unet_inputs(CONFIG, batch=1, size=(8, 8))
    shapes = jax.eval_shape(UNet(CONFIG, remat=name).init, key, **inputs)["params"]
    assert shapes == abstract_unet(CONFIG)
    config = ControlNetConfig(CONFIG, hint_channels=(4, 8))
    inputs["condition"] = np.zeros((1, 16, 16, 3), np.float32)
    ours, plain = (
        jax.eval_shape(ControlNet(config, remat=n).init, key, **inputs) for n in (name, "none")
    )
    assert ours == plain
