"""What a U-Net promises whatever its weights."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_models import (
    TINY,
    TRACES,
    abstract_unet,
    apply,
    random_params,
    relative_error,
    unet_inputs,
)

from jaxsd.config import UNetConfig
from jaxsd.models import UNet
from jaxsd.types import Array, Params

SMALL = TINY["lcm"].unet
ONE_LEVEL = replace(SMALL, levels=SMALL.levels[:1])


def weights(config: UNetConfig) -> Params:
    return random_params(abstract_unet(config))


def second_image_changed(value: Array) -> Array:
    changed = value.copy()
    changed[1] = changed[1] * 0.5 + 1
    return changed


@pytest.mark.parametrize("family", ["lcm", pytest.param("sdxl", marks=pytest.mark.release)])
def test_an_image_does_not_see_its_neighbour(family: str) -> None:
    network = UNet(TINY[family].unet)
    params, inputs = weights(network.config), unet_inputs(network.config)
    both = apply(network, params, **inputs)
    traced = TRACES[network]
    for name, value in inputs.items():
        changed = apply(network, params, **inputs | {name: second_image_changed(value)})
        np.testing.assert_array_equal(changed[0], both[0], err_msg=name)
        assert relative_error(changed[1], both[1]) > 1e-3, name
    assert TRACES[network] == traced, "other values were compiled again"


@pytest.mark.parametrize("family", ["emoji", pytest.param("sdxl", marks=pytest.mark.release)])
def test_around_its_own_deep_features_the_outermost_level_gives_the_same(family: str) -> None:
    network = UNet(TINY[family].unet)
    params, inputs = weights(network.config), unet_inputs(network.config)
    output, deep = apply(network, params, "around", deep=None, **inputs)
    assert deep.shape == (*inputs["x"].shape[:3], network.config.deep_channels)
    again, same = apply(network, params, "around", deep=deep, **inputs)
    assert relative_error(again, output) < 1e-5  # two programs, whose sums may differ in order
    np.testing.assert_array_equal(same, deep)
    other, _ = apply(network, params, "around", deep=deep, **inputs | {"timestep": np.float32(9)})
    assert relative_error(other, output) > 1e-3


def test_one_timestep_serves_the_whole_batch() -> None:
    network = UNet(ONE_LEVEL)
    params, inputs = weights(ONE_LEVEL), unet_inputs(ONE_LEVEL, size=(4, 4))
    each = apply(network, params, **inputs | {"timestep": np.full(2, 500.5, np.float32)})
    one = apply(network, params, **inputs | {"timestep": np.float32(500.5)})
    assert relative_error(one, each) < 1e-6


def test_bfloat16_inside_float32_outside() -> None:
    params, inputs = weights(SMALL), unet_inputs(SMALL)
    want = apply(UNet(SMALL), params, **inputs)
    got = apply(UNet(SMALL, jnp.bfloat16), params, **inputs)
    assert got.dtype == jnp.float32
    # bfloat16 rounds to 2**-8 some thirty times in a row.
    assert 1e-4 < relative_error(got, want) < 0.03


def test_every_parameter_and_input_has_a_finite_gradient() -> None:
    params, inputs = weights(ONE_LEVEL), unet_inputs(ONE_LEVEL, size=(4, 4))

    @jax.jit
    def gradient(params: Params, inputs: dict[str, Array]) -> tuple[Params, dict[str, Array]]:
        def loss(params: Params, inputs: dict[str, Array]) -> Array:
            return jnp.square(UNet(ONE_LEVEL).apply({"params": params}, **inputs)).mean()

        return jax.grad(loss, argnums=(0, 1))(params, inputs)

    for path, leaf in jax.tree_util.tree_leaves_with_path(gradient(params, inputs)):
        assert np.isfinite(leaf).all(), jax.tree_util.keystr(path)
        assert np.abs(leaf).max() > 1e-9, f"{jax.tree_util.keystr(path)} is not used"


@pytest.mark.parametrize("missing", ["pooled", "time_ids", "guidance"])
def test_a_condition_left_out_is_named(missing: str) -> None:
    config = TINY["lcm" if missing == "guidance" else "sdxl"].unet
    inputs = unet_inputs(config)
    del inputs[missing]
    with pytest.raises(AssertionError, match="this model takes"):
        jax.eval_shape(UNet(config).init, jax.random.key(0), **inputs)
