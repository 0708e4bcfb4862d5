"""GGUF files against ggml's own package: blocks of every kind, whole models, U-Nets alone."""

from pathlib import Path

import numpy as np
import pytest

gguf = pytest.importorskip("gguf")

from tiny_models import TINY, pipeline_params

from jaxsd.convert import open_model, write_single_file
from jaxsd.convert.alone import open_unet
from jaxsd.convert.files.gguf_blocks import KINDS
from jaxsd.convert.files.weight_files import open_weights
from jaxsd.convert.original.names import UNET

pytestmark = pytest.mark.parity


def blocks_of(kind: int, rows: int = 3) -> np.ndarray:
    """Rows of two random blocks of a kind, whose float16 numbers are finite."""
    rng = np.random.default_rng(kind)
    numbers, size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType(kind)]
    if numbers == 1:
        return rng.normal(size=(rows, 64)).astype(KINDS[kind].dtype)
    packed = rng.integers(0, 256, (rows, 2, size), np.uint8)
    halves = rng.normal(size=(rows, 2, 2)).astype(np.float16).view(np.uint8)
    last = KINDS[kind].name == "Q6_K"
    factors = 2 if KINDS[kind].name in ("Q8_0", "Q4_0", "Q5_0", "Q6_K") else 4
    packed[..., -2:] = halves[..., :2] if last else packed[..., -2:]
    packed[..., :factors] = packed[..., :factors] if last else halves[..., :factors]
    return packed.reshape(rows, -1)


def test_every_kind_of_block_is_read_to_the_bit(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "any.gguf", "sd1")
    writer.add_array("some.names", ["a", "b"])
    writer.add_array("comfy.gguf.orig_shape.F32", [2, 3, 32])
    own = {kind: blocks_of(kind) for kind in KINDS}
    for kind, packed in own.items():
        name = gguf.GGMLQuantizationType(kind)
        writer.add_tensor(KINDS[kind].name, packed, raw_dtype=name)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    tensors, _ = open_weights(tmp_path / "any.gguf")
    assert tensors["F32"].shape == (2, 3, 32)
    for kind, packed in own.items():
        found = tensors[KINDS[kind].name]
        truth = packed
        if KINDS[kind].numbers > 1:
            truth = gguf.quants.dequantize(packed, gguf.GGMLQuantizationType(kind))
        assert found.dtype == truth.dtype
        np.testing.assert_array_equal(found.read(), truth.reshape(found.shape), KINDS[kind].name)


def written(
    path: Path, tensors: dict[str, np.ndarray], facts: dict[str, str] | None = None
) -> dict[str, np.ndarray]:
    """Writes what has rows of whole blocks in 8 bits, the rest as it is; what should be read."""
    writer, truth = gguf.GGUFWriter(path, "sd1"), {}
    eight = gguf.GGMLQuantizationType.Q8_0
    for name, text in (facts or {}).items():
        writer.add_string(name, text)
    for name, array in tensors.items():
        array = np.ascontiguousarray(array, np.float32)
        truth[name] = array
        if array.ndim == 2 and array.shape[-1] % 32 == 0:
            packed = gguf.quants.quantize(array, eight)
            truth[name] = gguf.quants.dequantize(packed, eight)
            writer.add_tensor(name, packed, raw_dtype=eight)
        else:
            writer.add_tensor(name, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return truth


def test_a_model_and_a_unet_alone(tmp_path: Path) -> None:
    spec = TINY["sd1"]
    write_single_file(tmp_path / "whole.safetensors", spec, pipeline_params(spec))
    tensors, facts = open_weights(tmp_path / "whole.safetensors")
    arrays = {name: one.read() for name, one in tensors.items() if one.dtype.kind == "f"}
    truth = written(tmp_path / "whole.gguf", arrays, facts)
    assert sum((one != arrays[name]).any() for name, one in truth.items()) > 10
    found, _ = open_weights(tmp_path / "whole.gguf")
    for name, array in truth.items():
        np.testing.assert_array_equal(found[name].read(), array)
    model = open_model(tmp_path / "whole.gguf")
    assert model.spec.unet == spec.unet
    alone = {name.removeprefix(UNET): a for name, a in arrays.items() if name.startswith(UNET)}
    written(tmp_path / "unet.gguf", alone)
    tree = open_unet(tmp_path / "unet.gguf")[1]
    assert tree.keys() == model.tensors["unet"].keys()
    for path, tensor in tree.items():
        np.testing.assert_array_equal(tensor.read(), model.tensors["unet"][path].read())


def test_wrong_files_are_one_line(tmp_path: Path) -> None:
    path = tmp_path / "any.gguf"
    written(path, {"a": np.ones((4, 32)), "b": np.ones(3)})
    content = path.read_bytes()
    for cut in range(4, len(content) - 32, 7):  # it ends with up to 31 zeros
        path.write_bytes(content[:cut])
        with pytest.raises(ValueError, match="truncated"):
            open_weights(path)
    path.write_bytes(content.replace(b"GGUF\x03", b"GGUF\x09"))
    with pytest.raises(ValueError, match="version 9; 2 and 3 are read"):
        open_weights(path)
