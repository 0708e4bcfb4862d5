"""Which of a folder's files of weights are read, and what is said of the others."""

import json
import warnings

import numpy as np
import pytest

from jaxsd.convert.files.safetensors_file import write_safetensors
from jaxsd.convert.files.tensors import in_memory
from jaxsd.convert.files.weight_files import choose, open_folder

NET, CLIP = "diffusion_pytorch_model", "model"


@pytest.mark.parametrize(
    ("chosen", "aside"),
    [
        # diffusers' networks: shards before a whole file; transformers' the other way round.
        (f"{NET}.safetensors.index.json", [f"{NET}.safetensors", f"{NET}.bin"]),
        (f"{CLIP}.safetensors", [f"{CLIP}.safetensors.index.json", "pytorch_model.bin"]),
        (f"{NET}.safetensors", [f"{NET}.bin", f"{NET}.fp16.safetensors"]),
        (f"{NET}.bin", [f"{NET}.fp16.safetensors"]),
        (f"{NET}.fp16.safetensors", [f"{NET}.fp16.bin"]),
    ],
)
def test_order(chosen, aside):
    assert choose({chosen, *aside, "config.json", f"{NET}-00001-of-00002.safetensors"}) == chosen


def write(path, value):
    write_safetensors(path, {"x": in_memory(np.full(2, value, np.float32))}, {})


def index(folder, files):
    (folder / f"{NET}.safetensors.index.json").write_text(json.dumps({"weight_map": files}))


def test_shards_beside_an_older_whole_file(tmp_path):
    shard = f"{NET}-00001-of-00001.safetensors"
    write(tmp_path / shard, 2)
    write(tmp_path / f"{NET}.safetensors", 1)
    index(tmp_path, {"x": shard})
    line = rf"model.safetensors.index.json is read, and left aside are {NET}.safetensors$"
    with pytest.warns(UserWarning, match=line):
        tensors = open_folder(tmp_path)
    np.testing.assert_array_equal(tensors["x"].read(), [2, 2])


def test_each_file_is_named_once(tmp_path):
    index(tmp_path, {"x": "a.safetensors"})
    (tmp_path / f"{NET}.safetensors.index.json").rename(tmp_path / f"{CLIP}.safetensors.index.json")
    write(tmp_path / f"{CLIP}.safetensors", 1)
    with pytest.warns(UserWarning, match=rf"left aside are {CLIP}.safetensors.index.json$"):
        open_folder(tmp_path)


def test_weights_of_another_name_are_named(tmp_path):
    write(tmp_path / f"{NET}.bf16.safetensors", 1)
    with pytest.raises(ValueError, match=f"if {NET}.bf16.safetensors has them, name it {NET}.safe"):
        open_folder(tmp_path)


def test_nothing_is_said_where_nothing_is_left_aside(tmp_path):
    """The trained weights beside their average are another set, which an option chooses."""
    write(tmp_path / f"{NET}.safetensors", 1)
    write(tmp_path / f"{NET}.non_ema.safetensors", 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for non_ema, value in ((False, 1), (True, 2)):
            np.testing.assert_array_equal(open_folder(tmp_path, non_ema)["x"].read(), [value] * 2)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["a"], "has no weight_map"),
        ({"x": 3}, "has no weight_map"),
        ({"x": []}, "has no weight_map"),
        ({"x": "../a.safetensors"}, "which is not beside it"),
        ({"x": "b.safetensors"}, "which is not beside it"),
        ({"x": "b" * 300}, "which is not beside it"),
        ({"x": "a.safetensors", "y": "c.safetensors"}, "'x' is in 'c.safetensors' and in another"),
    ],
)
def test_indexes(tmp_path, files, message):
    write(tmp_path / "a.safetensors", 1)
    write(tmp_path / "c.safetensors", 1)
    index(tmp_path, files)
    with pytest.raises(ValueError, match=message):
        open_folder(tmp_path)
