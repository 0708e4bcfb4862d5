"""What a text encoder promises whatever its weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_models import (
    CLIP_L,
    OPENCLIP_BIGG,
    OPENCLIP_H,
    abstract_text,
    apply,
    random_params,
    relative_error,
    token_ids,
)

from jaxsd.config import TextConfig
from jaxsd.models import TextEncoder, TextOutput
from jaxsd.types import Array, Params

CONFIGS = pytest.mark.parametrize(
    "config", [CLIP_L, OPENCLIP_H, OPENCLIP_BIGG], ids=["clip-l", "openclip-h", "openclip-bigg"]
)


def encode(config: TextConfig, ids: Array, params: Params | None = None) -> TextOutput:
    params = random_params(abstract_text(config)) if params is None else params
    return apply(TextEncoder(config), params, ids=ids)


@CONFIGS
def test_shapes(config: TextConfig) -> None:
    out = encode(config, token_ids(config))
    assert out.context.shape == (3, 77, config.width)
    assert out.pooled.shape == (3, config.projection_dim or config.width)


@CONFIGS
def test_a_token_is_seen_by_itself_and_later_ones_alone(config: TextConfig) -> None:
    ids = token_ids(config)
    changed = ids.copy()
    changed[:, 3] = 7
    before, after = encode(config, ids), encode(config, changed)
    np.testing.assert_array_equal(after.context[:, :3], before.context[:, :3])
    assert (np.abs(after.context[:, 3:] - before.context[:, 3:]).max(axis=(0, 2)) > 1e-5).all()


@CONFIGS
def test_pooled_is_that_of_the_first_end(config: TextConfig) -> None:
    ids = token_ids(config)  # ends at 1, 6 and 76
    changed = ids.copy()
    changed[:2, 7:] = 5
    before, after = encode(config, ids), encode(config, changed)
    np.testing.assert_array_equal(after.pooled, before.pooled)
    changed[1, 6] = 5  # no end is left but the one put after it
    changed[1, 9] = config.vocab_size - 1
    assert relative_error(encode(config, changed).pooled[1], before.pooled[1]) > 1e-2


def test_pooled_is_a_normalised_token() -> None:
    ids = token_ids(CLIP_L)
    out = encode(CLIP_L, ids)
    ends = (ids == CLIP_L.vocab_size - 1).argmax(axis=1)
    assert ends.tolist() == [1, 6, 76]
    assert relative_error(out.pooled, out.context[np.arange(3), ends]) < 1e-6


def test_penultimate_context_does_not_pass_the_last_layer_or_norm() -> None:
    ids = token_ids(OPENCLIP_BIGG)
    params = random_params(abstract_text(OPENCLIP_BIGG))
    spoiled = jax.tree.map(np.copy, params)
    spoiled["encoder"]["layers_2"] = jax.tree.map(np.zeros_like, spoiled["encoder"]["layers_2"])
    spoiled["final_layer_norm"]["scale"] = spoiled["final_layer_norm"]["scale"] * 2
    whole, without = (encode(OPENCLIP_BIGG, ids, tree) for tree in (params, spoiled))
    np.testing.assert_array_equal(without.context, whole.context)
    assert relative_error(without.pooled, whole.pooled) > 1e-2


def test_a_short_sequence_is_the_start_of_a_long_one() -> None:
    ids = token_ids(CLIP_L)
    long, short = encode(CLIP_L, ids), encode(CLIP_L, ids[:, :20])
    assert relative_error(short.context, long.context[:, :20]) < 1e-6


def test_bfloat16_inside_float32_outside() -> None:
    params, ids = random_params(abstract_text(OPENCLIP_BIGG)), token_ids(OPENCLIP_BIGG)
    got = apply(TextEncoder(OPENCLIP_BIGG, jnp.bfloat16), params, ids=ids)
    for value, want in zip(got, encode(OPENCLIP_BIGG, ids, params), strict=True):
        assert value.dtype == jnp.float32
        # bfloat16 rounds to 2**-8 some twenty times in a row.
        assert 1e-4 < relative_error(value, want) < 0.03
