"""The rules between a file's tensors and parameters, in both directions."""

import numpy as np
import pytest

from jaxsd.convert.files.tensors import cast, in_memory
from jaxsd.convert.slots import Mismatch, Slot, fill, lay_out

OIHW = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)
OI = np.arange(6, dtype=np.float32).reshape(2, 3)


def read(slot, shape, array):
    return fill([slot], {"p": shape}, {"t": in_memory(array)}, "it")["p"].read()


def written(slot, shape, array):
    return lay_out([slot], {"p": shape}, {"p": in_memory(array)}, "it")["t"].read()


def test_convolution():
    got = read(Slot("p", "t", "conv"), (4, 5, 3, 2), OIHW)
    assert all(got[h, w, i, o] == OIHW[o, i, h, w] for o, i, h, w in np.ndindex(OIHW.shape))
    np.testing.assert_array_equal(written(Slot("p", "t", "conv"), (4, 5, 3, 2), got), OIHW)


@pytest.mark.parametrize("stored", [OI, OI[..., None], OI[..., None, None]])
@pytest.mark.parametrize("kind", ["dense", "pointwise"])
def test_dense_in_every_rank(stored, kind):
    np.testing.assert_array_equal(read(Slot("p", "t", kind), (3, 2), stored), OI.T)


def test_dense_is_written_in_the_layout_s_rank():
    np.testing.assert_array_equal(written(Slot("p", "t", "dense"), (3, 2), OI.T), OI)
    pointwise = written(Slot("p", "t", "pointwise"), (3, 2), OI.T)
    np.testing.assert_array_equal(pointwise, OI[:, :, None, None])


def test_thirds_of_a_fused_tensor():
    """Rows of q, then k, then v, split by their own number and not by another width."""
    fused = np.arange(3 * 2 * 4, dtype=np.float32).reshape(6, 4)
    slots = [Slot(path, "t", "dense", third) for third, path in enumerate("qkv")]
    shapes = dict.fromkeys("qkv", (4, 2))
    tree = fill(slots, shapes, {"t": in_memory(fused)}, "it")
    for third, path in enumerate("qkv"):
        np.testing.assert_array_equal(tree[path].read(), fused[2 * third : 2 * third + 2].T)
    joined = lay_out(slots[::-1], shapes, tree, "it")
    assert joined["t"].shape == (6, 4)
    np.testing.assert_array_equal(joined["t"].read(), fused)


def test_a_fused_tensor_that_has_no_thirds():
    slots = [Slot(path, "t", "dense", third) for third, path in enumerate("qkv")]
    with pytest.raises(Mismatch, match="3 misshapen"):
        fill(slots, dict.fromkeys("qkv", (4, 2)), {"t": in_memory(np.ones((7, 4)))}, "it")


def test_all_complaints_in_one_line():
    slots = [Slot("a", "ta", "same"), Slot("b", "tb", "same"), Slot("c", "tc", "same")]
    shapes = {"a": (1,), "b": (1,), "c": (1,)}
    tensors = {"tb": in_memory(np.ones(2)), "tc": in_memory(np.ones(1, int)), "td": in_memory(OI)}
    with pytest.raises(Mismatch) as caught:
        fill(slots, shapes, tensors, "it")
    assert str(caught.value) == (
        "it does not fit: 1 missing: ta; 1 unused: td; "
        "2 misshapen: tb [2] instead of [1], tc int64 instead of numbers with a fraction"
    )


def test_long_lists_are_cut():
    slots = [Slot(f"p{k}", f"t{k}", "same") for k in range(9)]
    with pytest.raises(Mismatch, match=r"9 missing: t0, t1, t2, t3, t4, t5, and 3 more$"):
        fill(slots, {f"p{k}": (1,) for k in range(9)}, {}, "it")


def test_a_tree_that_is_not_the_model_is_not_written():
    tree = {"p": in_memory(np.ones(2)), "other": in_memory(np.ones(1))}
    slots = [Slot("p", "t", "same"), Slot("q", "u", "same")]
    with pytest.raises(Mismatch) as caught:
        lay_out(slots, {"p": (1,), "q": (1,)}, tree, "the tree")
    assert str(caught.value) == (
        "the tree does not fit: 1 missing: q; 1 unused: other; 1 misshapen: p [2] instead of [1]"
    )


def test_float16_refuses_what_it_cannot_hold():
    small = in_memory(np.array([1.0, 65504.0, np.inf], np.float32))
    assert cast(small, np.dtype(np.float16), "p").read().dtype == np.float16
    large = in_memory(np.array([1.0, 70000.0], np.float32))
    with pytest.raises(ValueError, match="p has values that float16 cannot hold"):
        cast(large, np.dtype(np.float16), "p").read()


def test_a_cast_leaves_axes_as_they_lie():
    kernel = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    turned = in_memory(kernel).transformed((4, 3, 2), lambda array: array.T)
    for dtype in (np.dtype(np.float16), np.dtype(np.float64)):
        made = cast(turned, dtype, "p").read()
        np.testing.assert_array_equal(made, kernel.T)
        assert made.dtype == dtype
        assert made.T.flags.c_contiguous
    kernel[1, 2, 3] = -65520  # the first number that float16 rounds to infinity
    with pytest.raises(ValueError, match="p has values"):
        cast(turned, np.dtype(np.float16), "p").read()
    assert cast(in_memory(np.zeros((0, 3), np.float32)), np.dtype(np.float16), "p").read().size == 0
