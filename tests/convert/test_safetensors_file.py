"""The safetensors format, against its own library and against damage."""

import json

import ml_dtypes
import numpy as np
import pytest
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save_file

from jaxsd.convert.files.safetensors_file import CODES, read_safetensors, write_safetensors
from jaxsd.convert.files.tensors import in_memory


def arrays():
    generator = np.random.default_rng(0)
    return {
        "matrix": generator.standard_normal((3, 5), np.float32),
        "half": generator.standard_normal((7,)).astype(np.float16),
        "double": generator.standard_normal((2, 2)),
        "scalar": np.full((), 3.5, np.float32),
        "empty": np.zeros((0, 4), np.float32),
        "ids": np.arange(77)[None],
        "flags": np.array([True, False]),
    }


def lazy(named):
    return {name: in_memory(array) for name, array in named.items()}


def test_the_library_reads_what_is_written(tmp_path):
    write_safetensors(tmp_path / "a.safetensors", lazy(arrays()), {"format": "pt"})
    read = load_file(tmp_path / "a.safetensors")
    assert read.keys() == arrays().keys()
    for name, array in arrays().items():
        assert read[name].dtype == array.dtype
        np.testing.assert_array_equal(read[name], array)
    with safe_open(tmp_path / "a.safetensors", "numpy") as file:
        assert file.metadata() == {"format": "pt"}


def test_what_the_library_writes_is_read(tmp_path):
    save_file(arrays(), tmp_path / "a.safetensors", metadata={"who": "the library"})
    tensors, metadata = read_safetensors(tmp_path / "a.safetensors")
    assert metadata == {"who": "the library"}
    assert tensors.keys() == arrays().keys()
    for name, array in arrays().items():
        assert (tensors[name].shape, tensors[name].dtype) == (array.shape, array.dtype)
        np.testing.assert_array_equal(tensors[name].read(), array)


@pytest.mark.parametrize("code", CODES)
def test_every_dtype_survives(tmp_path, code):
    array = np.arange(6).reshape(2, 3).astype(CODES[code])
    write_safetensors(tmp_path / "a.safetensors", lazy({"x": array, "y": array}), {})
    read = read_safetensors(tmp_path / "a.safetensors")[0]["x"]
    assert read.dtype == CODES[code]
    assert read.read().tobytes() == array.tobytes()


def test_bytes_of_bfloat16_are_the_upper_half_of_float32(tmp_path):
    array = np.array([1.0, -2.5, 3e38], np.float32).astype(ml_dtypes.bfloat16)
    write_safetensors(tmp_path / "a.safetensors", lazy({"x": array}), {})
    assert (tmp_path / "a.safetensors").read_bytes()[-6:].hex() == "803f20c0627f"


def test_progress_adds_up(tmp_path):
    told = []
    write_safetensors(tmp_path / "a.safetensors", lazy(arrays()), {}, told.append)
    assert sum(told) == sum(array.nbytes for array in arrays().values())


def test_a_failure_leaves_nothing_behind(tmp_path):
    def fail(array):
        raise RuntimeError

    tensors = lazy({"x": np.ones(3)}) | {"y": in_memory(np.ones(2)).transformed((2,), fail)}
    with pytest.raises(RuntimeError):
        write_safetensors(tmp_path / "a.safetensors", tensors, {})
    assert list(tmp_path.iterdir()) == []


def with_header(path, header, data=b""):
    encoded = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(encoded).to_bytes(8, "little") + encoded + data)


def entry(shape=(2,), offsets=(0, 8), dtype="F32"):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


@pytest.mark.parametrize("cut", [4, 40, -1])
def test_truncated(tmp_path, cut):
    path = tmp_path / "a.safetensors"
    write_safetensors(path, lazy(arrays()), {})
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(ValueError, match=r"truncated|not a whole"):
        read_safetensors(path)


@pytest.mark.parametrize(
    "header",
    [
        b"[]",
        b"{",
        {"x": 3},
        {"__metadata__": 3},
        {"x": entry(dtype="F31")},
        {"x": entry(shape=(3,))},
        {"x": entry(shape=(-2,))},
        {"x": entry(shape=(2**40, 2**40))},
        {"x": entry(offsets=(-8, 0))},
        {"x": entry(offsets=(8, 16))},
        {"x": entry(), "y": entry()},
        {"x": entry(), "y": entry(offsets=(4, 12))},
        {"x": entry(shape=(1,) * 100_000, offsets=(0, 4))},
        b'{"x":' + b"[" * 1_000_000,
        b"\xef\xbb\xbf{}",
    ],
    ids=lambda header: str(header)[:60],
)
def test_damaged_headers(tmp_path, header):
    path = tmp_path / "a.safetensors"
    with_header(path, header, bytes(8))
    with pytest.raises(ValueError, match=r"a\.safetensors"):
        read_safetensors(path)


PLAIN = b'{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'


@pytest.mark.parametrize(
    "header",
    [
        PLAIN.replace(b"[2]", b"[2.0]"),
        PLAIN.replace(b"[2]", b'["2"]'),
        PLAIN.replace(b"[2]", b"[true]"),
        PLAIN.replace(b"8]", b"8e0]"),
        PLAIN.replace(b"8]", b"1e999]"),
        PLAIN.replace(b"[0,8]", b"[0,18446744073709551624]"),
        PLAIN.replace(b"{", b'{"__metadata__":null,', 1),
        PLAIN.replace(b"{", b'{"__metadata__":{"a":1},', 1),
        PLAIN.replace(b'"shape"', b'"shape":[2],"shape"'),
        PLAIN.replace(b'"shape"', b'"more":NaN,"shape"'),
        PLAIN.replace(b'"shape"', b'"more":[1.5],"shape"'),
        b" " + PLAIN,
        PLAIN + b" \n",
        PLAIN + b"\0",
        PLAIN[:-1] + b"," + PLAIN[1:],
        PLAIN.replace(b"x", b"\\ud800"),
        PLAIN.replace(b"x", b"\xff"),
    ],
)
def test_headers_are_right_where_the_library_says_so(tmp_path, header):
    path = tmp_path / "a.safetensors"
    with_header(path, header, np.float32([1, 2]).tobytes())
    try:
        wanted = load_file(path)
    except SafetensorError:
        with pytest.raises(ValueError, match=r"not a safetensors file|is damaged"):
            read_safetensors(path)
    else:
        found = read_safetensors(path)[0]
        assert found.keys() == wanted.keys()
        np.testing.assert_array_equal(found["x"].read(), wanted["x"])


def test_dtypes_that_are_not_read_are_named(tmp_path):
    with_header(tmp_path / "a.safetensors", {"x": entry((8,), (0, 8), "F8_E8M0")}, bytes(8))
    with pytest.raises(ValueError, match="'x' has dtype F8_E8M0, which is not read, only F64"):
        read_safetensors(tmp_path / "a.safetensors")


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({f"{i}": entry((0,), (0, 0)) for i in range(50_001)}, "50001 entries, at most 50000"),
        ({"__metadata__": dict.fromkeys(map(str, range(200_004)), "")}, "50001 entries, at most"),
        ({"\x1b" * 501: entry((0,), (0, 0))}, r"name \\x1b.* has 501 characters, at most"),
        (b" " * (2**25 + 1), "its header has 33554433 bytes, at most 33554432"),
    ],
    ids=("tensors", "metadata", "name", "bytes"),
)
def test_more_than_weights_have(tmp_path, header, message):
    with_header(tmp_path / "a.safetensors", header)
    with pytest.raises(ValueError, match=message) as error:
        read_safetensors(tmp_path / "a.safetensors")
    assert len(str(error.value)) < 500 + len(str(tmp_path))


def test_metadata_may_be_long(tmp_path):
    text = '{"tags": "\u732b"}\n' * 200_001
    with_header(tmp_path / "a.safetensors", {"__metadata__": {"w": text}})
    assert read_safetensors(tmp_path / "a.safetensors") == ({}, {"w": text})
