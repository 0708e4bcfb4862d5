"""Batches that any number of images is drawn in, and their keys."""

import jax
import numpy as np
import pytest

from jaxsd.pipeline.batches import batch_size, filled, image_keys


def test_batches_are_few_and_at_most_a_third_is_in_vain() -> None:
    sizes = {batch_size(count) for count in range(1, 65)}
    assert sorted(sizes) == [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64]
    for count in range(1, 65):
        assert batch_size(batch_size(count)) == batch_size(count)
        assert 0 <= batch_size(count) - count <= batch_size(count) / 3


@pytest.mark.parametrize(("count", "batch"), [(1, 8), (8, 8), (9, 16), (33, 48)])
def test_every_device_takes_as_many(count: int, batch: int) -> None:
    assert batch_size(count, devices=8) == batch


def test_the_last_fills_up() -> None:
    assert filled([1, 2], 4) == [1, 2, 2, 2]
    assert filled([], 4) == []


def test_keys_are_those_of_jax() -> None:
    seeds = [0, 1, 2**31, 2**32 - 1]
    got = image_keys(seeds)
    want = jax.vmap(jax.random.key)(np.array(seeds, np.uint32))
    assert got.dtype == want.dtype
    np.testing.assert_array_equal(jax.random.key_data(got), jax.random.key_data(want))


def test_keys_of_long_seeds_are_those_of_jax_with_64_bits() -> None:
    seeds = [0, 7, 2**32 - 1, 2**32, 2**32 + 7, 2**63 - 1]
    with jax.enable_x64(True):
        want = [np.asarray(jax.random.key_data(jax.random.key(seed))) for seed in seeds]
    got = np.asarray(jax.random.key_data(image_keys(seeds)))
    np.testing.assert_array_equal(got, want)
    assert len(set(map(tuple, got.tolist()))) == len(seeds)
