"""The attention kernel for TPUs, interpreted on a CPU, beside attention as in its equation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsd.nn.plain_attention import plain_attention
from jaxsd.nn.tpu_blocks import (
    KEPT,
    KEYS,
    LANES,
    LOGITS,
    block_of_heads,
    block_of_queries,
    fits,
)
from jaxsd.nn.tpu_kernel import kernel_attention


def inputs(length: int, keys: int, heads: int, width: int, dtype: str) -> list[jax.Array]:
    """Queries, keys and values of two images."""
    seeds = jax.random.split(jax.random.key(7), 3)
    tokens = (length, keys, keys)
    shapes = [(2, count, heads, width) for count in tokens]
    return [jax.random.normal(*one, dtype) for one in zip(seeds, shapes, strict=True)]


@pytest.mark.parametrize(
    ("length", "keys", "heads", "width"),
    [(192, 64, 8, 40), (64, 77, 3, 64), (150, 33, 3, 24)],
)
def test_it_is_attention(length: int, keys: int, heads: int, width: int) -> None:
    q, k, v = inputs(length, keys, heads, width, "float32")
    found = kernel_attention(q, k, v, interpret=True)
    np.testing.assert_allclose(found, plain_attention(q, k, v), atol=2e-6)


def test_in_bfloat16_it_rounds_as_plain_attention_does() -> None:
    q, k, v = inputs(128, 128, 2, 64, "bfloat16")
    found = kernel_attention(q, k, v, interpret=True).astype(jnp.float32)
    exact = plain_attention(*(a.astype(jnp.float32) for a in (q, k, v)))
    plain = plain_attention(q, k, v).astype(jnp.float32)
    assert jnp.abs(found - exact).max() < 1.2 * jnp.abs(plain - exact).max()


def test_large_logits_do_not_overflow() -> None:
    q, k, v = inputs(64, 64, 2, 64, "float32")
    found = kernel_attention(100 * q, 100 * k, v, interpret=True)
    np.testing.assert_allclose(found, plain_attention(100 * q, 100 * k, v), atol=2e-5)


@pytest.mark.parametrize(
    ("heads", "width", "lanes"),
    [(8, 40, 320), (8, 80, 640), (8, 160, 640), (5, 64, 128), (1, 512, 512), (1, 64, 64)],
)
def test_blocks_of_heads_are_whole_rows_or_everything(heads: int, width: int, lanes: int) -> None:
    assert block_of_heads(heads, width) == lanes
    assert lanes % width == 0


def test_blocks_stay_small_enough() -> None:
    for keys in (77, 1024, 1040, 1054, 3952, 4096, 9216):
        rows, lanes = block_of_queries(keys, keys), -(-keys // LANES) * LANES
        assert rows == keys or rows % 16 == 0
        assert rows * lanes <= LOGITS or rows == 128
        assert keys % rows == 0 or rows - keys % rows < 16 * -(-keys // rows)  # equal blocks
    assert fits(4096, 8, 40)
    assert fits(9216, 5, 64)
    assert not fits(KEPT // 512 + 1, 1, 512)
    assert not fits(KEYS + 1, 1, 64)
