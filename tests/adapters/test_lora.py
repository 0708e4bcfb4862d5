"""LoRA as mathematics: the merged kernel is the kernel plus the low-rank path beside it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from lora_fakes import leaf, random_factors
from tiny_models import TINY, pipeline_params, relative_error, uniform

from jaxsd.adapters.lora import initial_lora, merged, targets

SPEC = TINY["sd1"]
PARAMS = pipeline_params(SPEC)
QUERY = "unet/down_blocks_0/attentions_0/transformer_blocks_0/attn1/to_q/kernel"
CONV = "unet/down_blocks_0/resnets_0/conv1/kernel"
KEY = jax.random.key(7)
TEXT = "text/0/encoder/layers_0/self_attn/q_proj/kernel"


def test_a_merged_dense_kernel_is_the_low_rank_path_beside_it():
    lora = {QUERY: random_factors(QUERY, (32, 32), rank=3, alpha=6.0)}
    kernel = leaf(merged(PARAMS, lora, 0.5), QUERY)
    x = uniform("x", (5, 32))
    beside = x @ leaf(PARAMS, QUERY) + 0.5 * 2.0 * ((x @ lora[QUERY]["down"]) @ lora[QUERY]["up"])
    assert relative_error(x @ np.asarray(kernel), beside) < 1e-6  # sums in another order


def convolution(x, kernel):
    numbers = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=numbers)


@pytest.mark.parametrize("twice", [False, True], ids=["down up", "down mid up"])
def test_a_merged_convolution_is_the_low_rank_path_beside_it(twice):
    factors = random_factors(CONV, (3, 3, 32, 32), rank=4, alpha=2.0)
    if twice:
        factors |= {"down": uniform("1x1", (1, 1, 32, 4)), "mid": uniform("mid", (3, 3, 4, 4))}
    kernel = leaf(merged(PARAMS, {CONV: factors}), CONV)
    x = uniform("x", (2, 6, 5, 32))
    low = convolution(x, factors["down"])
    low = convolution(low, factors["mid"]) if twice else low
    beside = convolution(x, leaf(PARAMS, CONV)) + 0.5 * convolution(low, factors["up"])
    assert relative_error(convolution(x, kernel), beside) < 1e-5


def test_what_is_initial_or_of_scale_zero_changes_nothing():
    lora = initial_lora(PARAMS, ["attn1", "conv1/", "text/"], rank=2, alpha=2.0, key=KEY)
    assert all(np.any(factors["down"]) and not np.any(factors["up"]) for factors in lora.values())
    merge = jax.jit(merged)
    jax.tree.map(np.testing.assert_array_equal, merge(PARAMS, lora), PARAMS)
    full = {p: random_factors(p, leaf(PARAMS, p).shape, rank=2, alpha=2.0) for p in lora}
    jax.tree.map(np.testing.assert_array_equal, merge(PARAMS, full, 0.0), PARAMS)
    changed = merge(PARAMS, full, 1.0)
    assert all(np.any(leaf(changed, path) != leaf(PARAMS, path)) for path in full)


def test_loras_are_merged_in_turn_and_nothing_else_changes():
    first = {QUERY: random_factors("a", (32, 32), rank=3, alpha=3.0)}
    second = {QUERY: random_factors("b", (32, 32), rank=1, alpha=1.0)}
    both = merged(merged(PARAMS, first, 0.5), second, 2.0)
    want = leaf(PARAMS, QUERY) + 0.5 * first[QUERY]["down"] @ first[QUERY]["up"]
    want = want + 2.0 * second[QUERY]["down"] @ second[QUERY]["up"]
    assert relative_error(leaf(both, QUERY), want) < 1e-6
    assert leaf(both, CONV) is leaf(PARAMS, CONV)


def test_a_dict_of_text_encoders_has_the_same_paths():
    lora = initial_lora(PARAMS, ["q_proj"], rank=2, alpha=1.0, key=KEY)
    as_dict = PARAMS | {"text": {"0": PARAMS["text"][0]}}
    assert targets(as_dict, ["q_proj"]) == list(lora)
    assert merged(as_dict, lora)["text"].keys() == {"0"}


def test_the_dtype_of_the_kernel_is_kept_and_the_sum_is_float32():
    kernel = jnp.full((8, 8), 256.0, jnp.bfloat16)  # bfloat16 has 257 next to nothing: 256, 258
    tree = {"unet": {"dense": {"kernel": kernel}}}
    ones = {"down": jnp.ones((8, 1)), "up": jnp.ones((1, 8)), "alpha": jnp.asarray(1.0)}
    once = merged(tree, {"unet/dense/kernel": ones}, 3.0)["unet"]["dense"]["kernel"]
    assert once.dtype == jnp.bfloat16
    np.testing.assert_array_equal(once.astype(jnp.float32), 260.0)  # 259 to even


def test_the_gradient_flows_to_the_factors_alone():
    """Of x @ W against the path beside it, where autodiff has no merge to go through."""
    lora = {QUERY: random_factors(QUERY, (32, 32), 2, 6.0)}
    x = uniform("x", (5, 32))

    def by_merge(lora):
        tree = merged({"unet": PARAMS["unet"]}, lora, 0.1)
        return jnp.sum(jnp.sin(x @ leaf(tree, QUERY)))

    def beside(down, up):
        return jnp.sum(jnp.sin(x @ leaf(PARAMS, QUERY) + 0.3 * (x @ down) @ up))

    found = jax.jit(jax.grad(by_merge))(lora)[QUERY]
    want = jax.jit(jax.grad(beside, (0, 1)))(lora[QUERY]["down"], lora[QUERY]["up"])
    assert relative_error(found["down"], want[0]) < 1e-5  # sums in another order
    assert relative_error(found["up"], want[1]) < 1e-5
    assert found["alpha"] == 0


def test_the_start_follows_kaiming_and_depends_on_the_path_alone():
    lora = initial_lora(PARAMS, ["conv1/", "attn"], rank=64, alpha=64.0, key=KEY)
    bound = (9 * 32) ** -0.5
    down = lora[CONV]["down"]
    assert down.shape == (3, 3, 32, 64)
    assert np.abs(down).max() <= bound
    # 18,432 draws: the sample's deviation is within 1% of bound / sqrt(3).
    assert np.std(down) == pytest.approx(bound / 3**0.5, rel=0.01)
    alone = initial_lora(PARAMS, [CONV], rank=64, alpha=64.0, key=KEY)
    assert list(alone) == [CONV]
    np.testing.assert_array_equal(alone[CONV]["down"], down)
    assert np.any(lora[QUERY]["down"] != lora[QUERY.replace("to_q", "to_v")]["down"])


def test_targets_are_kernels_of_unet_and_text():
    found = targets(PARAMS, [".*"])
    assert {QUERY, CONV, TEXT, "unet/conv_in/kernel", "unet/time_embedding/linear_1/kernel"} <= set(
        found
    )
    assert all(path.endswith("/kernel") and not path.startswith("vae/") for path in found)
    shapes = jax.eval_shape(lambda: PARAMS)
    assert targets(shapes, ["ff/net_2", "attn1/to_q"])[0] == QUERY  # the order of the tree


@pytest.mark.parametrize(
    ("patterns", "message"),
    [
        (["attn1", "atn2"], "'atn2' is found in none of the"),
        (["norm1/scale"], "'norm1/scale' is found in none"),
        (["vae/"], "'vae/' is found in none"),
        (["(q|k"], r"'\(q\|k' is no regular expression"),
    ],
)
def test_patterns_that_fit_nothing_are_named(patterns, message):
    with pytest.raises(ValueError, match=message) as error:
        targets(PARAMS, patterns)
    assert "\n" not in str(error.value)


def test_loras_of_other_models_are_refused():
    factors = random_factors(QUERY, (32, 32), 2, 1.0)
    with pytest.raises(ValueError, match="not in the model, the first is unet/elsewhere/kernel"):
        merged(PARAMS, {"unet/elsewhere/kernel": factors})
    with pytest.raises(ValueError, match=r"for a kernel \[32, 40\], the model's is \[32, 32\]"):
        merged(PARAMS, {QUERY: random_factors(QUERY, (32, 40), 2, 1.0)})
    with pytest.raises(ValueError, match="rank 0 is below 1"):
        initial_lora(PARAMS, ["attn1"], rank=0, alpha=1.0, key=KEY)
