"""Random models in a file."""

import numpy as np
from build_random_model import random_model
from tiny_models import TINY

from jaxsd.convert import open_model, write_single_file
from jaxsd.convert.files.tensors import flatten


def test_what_is_written_is_a_model_of_the_family(tmp_path):
    spec = TINY["sdxl"]
    made = random_model(spec, "float16")
    write_single_file(tmp_path / "xl.safetensors", spec, made)
    found = open_model(tmp_path / "xl.safetensors")
    assert found.spec.unet == spec.unet
    again = found.tensors["unet"]
    for path, tensor in flatten(made["unet"]).items():
        np.testing.assert_array_equal(again[path].read(), tensor.read())
    kernel = again["mid_block/resnets_0/conv1/kernel"].read().astype(np.float32)
    assert kernel.dtype == np.float32
    # Unit gain: the variance of a kernel is 1 over its inputs.
    assert abs(kernel.var() * np.prod(kernel.shape[:-1]) - 1) < 0.05
    assert abs(again["conv_norm_out/scale"].read().mean() - 1) < 0.2
