"""Files of stable-diffusion.cpp, by the names that it wrote for tiny models."""

import json
from pathlib import Path

import numpy as np
import pytest
from tiny_models import TINY, pipeline_params

from jaxsd.convert.api import _in_memory
from jaxsd.convert.files.tensors import in_memory
from jaxsd.convert.original.sdcpp_names import renaming
from jaxsd.convert.original.single_file import _usual_names, single_file_tensors

WRITTEN = json.loads((Path(__file__).parents[1] / "goldens" / "sdcpp_names.json").read_text())


@pytest.mark.parametrize("family", ["sd1", "sd2", "sdxl"])
def test_text_encoders_have_the_original_names_and_shapes(family):
    spec = TINY[family]
    wanted, _ = single_file_tensors(_in_memory(spec, pipeline_params(spec)))
    wanted = {
        name: list(tensor.shape)
        for name, tensor in wanted.items()
        if name.startswith("cond") and not name.endswith("position_ids")
    }
    own = renaming(WRITTEN[family])
    assert {own(name): shape for name, shape in WRITTEN[family].items()} == wanted


def test_other_names_stay_and_two_spellings_of_one_are_refused():
    name = "cond_stage_model.transformer.text_model.encoder.layers.0.self_attn.q_proj.bias"
    assert renaming([name])(name) == name
    words = ["cond_stage_model.1.transformer.text_model.final_layer_norm.bias"]
    words.append(renaming(words)(words[0]))
    with pytest.raises(ValueError, match="twice, under two spellings"):
        _usual_names({name: in_memory(np.zeros(3)) for name in words})
