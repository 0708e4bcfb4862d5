"""Models made of models, by NumPy's arithmetic."""

import numpy as np
import pytest
from tiny_models import TINY, uniform

from jaxsd.adapters.model_merging import Weights, add_difference, weighted_sum, with_loras
from jaxsd.convert.files.tensors import in_memory
from jaxsd.convert.stored_model import StoredModel

SHAPES = {
    "unet": {"conv_in/kernel": (3, 3, 4, 8), "up_blocks_0/x/kernel": (8, 8), "mid/bias": (8,)},
    "text_0": {"final/scale": (8,)},
    "vae": {"x/kernel": (4, 4)},
}


def model(name: str, channels: int = 4, dtype: str = "float32") -> StoredModel:
    """A model of five tensors, whose spec only gives its name."""
    tensors = {
        part: {
            path: in_memory(uniform(f"{name} {part} {path}", shape).astype(dtype))
            for path, shape in own.items()
        }
        for part, own in SHAPES.items()
    }
    kernel = uniform(f"{name} conv_in", (3, 3, channels, 8)).astype(dtype)
    tensors["unet"]["conv_in/kernel"] = in_memory(kernel)
    return StoredModel(TINY["sd1"], tensors)


def read(model: StoredModel) -> dict[str, np.ndarray]:
    return {
        f"{part}/{path}": tensor.read()
        for part, own in model.tensors.items()
        for path, tensor in own.items()
    }


def test_a_weighted_sum_with_weights_by_parts():
    weights = Weights(0.3, (("^unet/up", 0.9), ("text", 0.0)))
    a, b = read(model("a")), read(model("b"))
    got = read(weighted_sum(model("a"), model("b"), weights))
    for path, array in got.items():
        weight = {"unet/up_blocks_0/x/kernel": 0.9, "text_0/final/scale": 0.0}.get(path, 0.3)
        np.testing.assert_allclose(array, (1 - weight) * a[path] + weight * b[path], atol=1e-6)


def test_a_difference_is_added_to_a_third():
    """Of 16 bits too: float32 inside, the first model's dtype outside."""
    a, b, c = (read(model(name, dtype="float16")) for name in "abc")
    got = read(add_difference(*(model(n, dtype="float16") for n in "abc"), Weights(0.7)))
    for path, array in got.items():
        exact = a[path].astype(np.float32) + 0.7 * (np.float32(b[path]) - np.float32(c[path]))
        assert array.dtype == np.float16
        np.testing.assert_allclose(array, exact, rtol=2**-10, atol=1e-6)


def test_an_inpainting_model_takes_what_others_have_learnt():
    a, b, c = read(model("a", 9)), read(model("b")), read(model("c"))
    got = read(add_difference(model("a", 9), model("b"), model("c"), Weights(1.0)))
    name = "unet/conv_in/kernel"
    np.testing.assert_array_equal(got[name][:, :, 4:], a[name][:, :, 4:])
    want = a[name][:, :, :4] + (b[name] - c[name])
    np.testing.assert_allclose(got[name][:, :, :4], want, atol=1e-6)


def test_loras_are_merged():
    lora = {"text/0/final/scale": {"diff": uniform("diff", (8,))}}
    before = model("a")
    after = with_loras(before, [(lora, {"unet": 0.0, "text": 0.5})])
    name = "text_0/final/scale"
    want = read(before)[name] + 0.5 * lora["text/0/final/scale"]["diff"]
    np.testing.assert_allclose(read(after)[name], want, atol=1e-6)
    assert after.tensors["unet"]["mid/bias"] is before.tensors["unet"]["mid/bias"]


def test_models_of_other_networks_are_refused():
    other = model("b")
    other.tensors["unet"]["mid/bias"] = in_memory(np.zeros(9, np.float32))
    with pytest.raises(ValueError, match="sd1 and sd1 can not be merged: unet/mid/bias is not"):
        weighted_sum(model("a"), other, Weights())
    del other.tensors["unet"]["mid/bias"]
    with pytest.raises(ValueError, match="unet/mid/bias is not the same in both; take two"):
        weighted_sum(model("a"), other, Weights())


@pytest.mark.parametrize(
    ("pattern", "message"), [("(", "no regular expression"), ("down", "is found in none of the 5")]
)
def test_patterns_that_fit_nothing(pattern, message):
    with pytest.raises(ValueError, match=message):
        weighted_sum(model("a"), model("b"), Weights(0.5, ((pattern, 1.0),)))
