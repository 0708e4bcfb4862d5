"""ControlNet: what diffusers gave, what holds at the start of training, and the sums by hand."""

from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from tiny_models import (
    CONTROLNETS,
    TINY,
    abstract_controlnet,
    abstract_unet,
    apply,
    controlnet_inputs,
    controlnet_params,
    random_params,
    relative_error,
    unet_inputs,
)

from jaxsd.config import ControlNetConfig, Level
from jaxsd.models import ControlNet, Residuals, UNet, controlnet_from_unet
from jaxsd.models.unet import UpBlock
from jaxsd.nn.convolution import convolution
from jaxsd.nn.normalization import group_norm
from jaxsd.types import Array, Params

GOLDENS = np.load(Path(__file__).parents[1] / "goldens" / "models.npz")
TOLERANCE = 1e-5
"""Of the largest value: some hundred float32 operations in another order."""

SMALL = replace(
    CONTROLNETS["sd1"],
    unet=replace(TINY["sd1"].unet, levels=(Level(32, 1, 1, 4), Level(64, 1, 0, 4))),
)

ONE_LEVEL = replace(SMALL, unet=replace(SMALL.unet, levels=SMALL.unet.levels[:1]))


def test_goldens() -> None:
    family = "sdxl"
    config = CONTROLNETS[family]
    residuals = apply(ControlNet(config), controlnet_params(config), **controlnet_inputs(config))
    assert relative_error(residuals.mid, GOLDENS[f"controlnet/{family}/mid"]) < TOLERANCE
    inputs = unet_inputs(config.unet) | {"residuals": residuals}
    got = apply(UNet(config.unet), random_params(abstract_unet(config.unet)), **inputs)
    assert relative_error(got, GOLDENS[f"controlnet/{family}/unet"]) < TOLERANCE
    plain = GOLDENS[f"unet/{family}"]
    assert relative_error(got, plain) > 0.01, "the residuals do nothing"


@pytest.mark.parametrize(
    "config",
    [SMALL, pytest.param(CONTROLNETS["sdxl"], marks=pytest.mark.release)],
    ids=["small", "sdxl"],
)
def test_training_starts_with_the_unet_as_it_is(config: ControlNetConfig) -> None:
    """Equation 3: every residual is zero, and the U-Net with them is the U-Net."""
    unet = random_params(abstract_unet(config.unet))
    params = controlnet_from_unet(config, unet, jax.random.key(0))
    residuals = apply(ControlNet(config), params, **controlnet_inputs(config))
    for residual, width in zip(residuals.down, config.unet.skip_channels, strict=True):
        assert residual.shape[-1] == width
        assert residual.dtype == jnp.float32
        assert not residual.any()
    assert not residuals.mid.any()
    inputs = unet_inputs(config.unet)
    with_them = apply(UNet(config.unet), unet, **inputs, residuals=residuals)
    np.testing.assert_array_equal(with_them, apply(UNet(config.unet), unet, **inputs))


def test_residuals_are_added_to_the_skips_and_after_the_middle() -> None:
    config = SMALL.unet
    params, inputs = random_params(abstract_unet(config)), unet_inputs(config)
    residuals = apply(ControlNet(SMALL), controlnet_params(SMALL), **controlnet_inputs(SMALL))
    got = apply(UNet(config), params, **inputs, residuals=residuals)
    assert relative_error(got, by_hand(params, inputs, residuals)) < 1e-6


@jax.jit
def by_hand(params: Params, inputs: dict[str, Array], residuals: Residuals) -> Array:
    """The second half of a U-Net of two levels over the inner results of the first."""
    config = SMALL.unet
    _, state = UNet(config).apply(
        {"params": params}, **inputs, capture_intermediates=True, mutable=["intermediates"]
    )

    def inner(name: str) -> Array:
        return state["intermediates"][name]["__call__"][0]

    (_, first), (_, second) = inner("down_blocks_0"), inner("down_blocks_1")
    skips = [inner("conv_in"), *first, *second]
    skips = [skip + residual for skip, residual in zip(skips, residuals.down, strict=True)]
    x, time, size = inner("mid_block") + residuals.mid, nn.silu(inner("time_embedding")), (9, 7)
    low, high = (UpBlock(level, config.norm_groups, jnp.float32) for level in config.levels[::-1])
    x = low.apply({"params": params["up_blocks_0"]}, x, skips[:1:-1], time, inputs["context"], size)
    x = high.apply(
        {"params": params["up_blocks_1"]}, x, skips[1::-1], time, inputs["context"], None
    )
    norm = group_norm(config.norm_groups, 1e-5, "conv_norm_out", jnp.float32)
    x = nn.silu(norm.apply({"params": params["conv_norm_out"]}, x))
    return convolution(4, "conv_out", jnp.float32).apply({"params": params["conv_out"]}, x)


@jax.jit
def gradient(params: Params) -> tuple[Params, Array]:
    """Of the U-Net's squared output, by a ControlNet's parameters and by its image."""
    config = ONE_LEVEL.unet
    unet = random_params(abstract_unet(config))
    own, inputs = controlnet_inputs(ONE_LEVEL, size=(4, 4)), unet_inputs(config, size=(4, 4))

    def loss(params: Params, condition: Array) -> Array:
        given = own | {"condition": condition}
        residuals = ControlNet(ONE_LEVEL).apply({"params": params}, **given)
        out = UNet(config).apply({"params": unet}, **inputs, residuals=residuals)
        return jnp.square(out).mean()

    return jax.grad(loss, argnums=(0, 1))(params, own["condition"])


def test_every_parameter_has_a_finite_gradient() -> None:
    grads = gradient(controlnet_params(ONE_LEVEL))
    for path, leaf in jax.tree_util.tree_leaves_with_path(grads):
        assert np.isfinite(leaf).all(), jax.tree_util.keystr(path)
        assert np.abs(leaf).max() > 1e-9, f"{jax.tree_util.keystr(path)} is not used"


def test_at_the_start_the_zero_convolutions_alone_learn() -> None:
    """Their gradient is the skip times the U-Net's; what lies behind a zero has none yet."""
    unet = random_params(abstract_unet(ONE_LEVEL.unet))
    grads, _ = gradient(controlnet_from_unet(ONE_LEVEL, unet, jax.random.key(0)))
    for name, tree in grads.items():
        zero = name.startswith(("controlnet_down_blocks_", "controlnet_mid_block"))
        for leaf in jax.tree.leaves(tree):
            assert np.isfinite(leaf).all(), name
            assert np.any(leaf) == zero, name


@pytest.mark.parametrize("family", ["sd1", "sdxl"])
def test_starting_weights_are_copies(family: str) -> None:
    config = CONTROLNETS[family]
    unet = jax.tree.map(jnp.asarray, random_params(abstract_unet(config.unet)))
    params = controlnet_from_unet(config, unet, jax.random.key(0))
    shapes = jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), params)
    wanted = jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), abstract_controlnet(config))
    assert shapes == wanted
    copied = {name: tree for name, tree in params.items() if not name.startswith("controlnet_")}
    for name, tree in copied.items():
        jax.tree.map(np.testing.assert_array_equal, tree, unet[name])
    jax.tree.map(lambda leaf: leaf.delete(), params)  # as a training step that is given them does
    assert not any(leaf.is_deleted() for leaf in jax.tree.leaves(unet))


def test_the_key_makes_the_network_that_reads_the_image() -> None:
    unet = random_params(abstract_unet(SMALL.unet))
    first, second = (controlnet_from_unet(SMALL, unet, jax.random.key(k)) for k in range(2))
    kernels = [tree["controlnet_cond_embedding"]["blocks_1"]["kernel"] for tree in (first, second)]
    assert np.any(kernels[0] != kernels[1])
    assert kernels[0].std() == pytest.approx((9 * 4) ** -0.5, rel=0.2)


def test_a_distilled_unet_lends_all_but_its_guidance() -> None:
    unet = TINY["lcm"].unet
    with pytest.raises(ValueError, match="guidance_dim 20 is not of a ControlNet's U-Net"):
        ControlNetConfig(unet)
    config = replace(SMALL, unet=replace(unet, guidance_dim=None))
    params = controlnet_from_unet(config, random_params(abstract_unet(unet)), jax.random.key(0))
    assert jax.tree.structure(params) == jax.tree.structure(abstract_controlnet(config))


def test_bfloat16_inside_float32_outside() -> None:
    params, inputs = controlnet_params(SMALL), controlnet_inputs(SMALL)
    want = apply(ControlNet(SMALL), params, **inputs)
    got = apply(ControlNet(SMALL, jnp.bfloat16), params, **inputs)
    for leaf, reference in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        assert leaf.dtype == jnp.float32
        # bfloat16 rounds to 2**-8 some twenty times in a row.
        assert 1e-4 < relative_error(leaf, reference) < 0.03


@pytest.mark.parametrize("shape", [(2, 9, 7, 3), (2, 56, 72, 3), (1, 72, 56, 3), (2, 71, 56, 3)])
def test_a_condition_of_another_size_is_refused(shape: tuple[int, ...]) -> None:
    inputs = controlnet_inputs(SMALL) | {"condition": np.zeros(shape, np.float32)}
    with pytest.raises(AssertionError, match="is not 8 times as large as latents"):
        jax.eval_shape(ControlNet(SMALL).init, jax.random.key(0), **inputs)


def test_a_residual_that_is_left_out_is_an_error() -> None:
    down, mid = apply(ControlNet(SMALL), controlnet_params(SMALL), **controlnet_inputs(SMALL))
    inputs = unet_inputs(SMALL.unet) | {"residuals": Residuals(down[:-1], mid)}
    with pytest.raises(ValueError, match="shorter than argument 1"):
        jax.eval_shape(UNet(SMALL.unet).init, jax.random.key(0), **inputs)
