"""PyTorch's pickles: read right, and never run."""

import contextlib
import hashlib
import io
import pickle
import time
import zipfile

import ml_dtypes
import numpy as np
import pytest
from real_files import larger
from torch_bytes import (
    WRITERS,
    call,
    dict_of,
    name,
    number,
    of_array,
    program,
    storage,
    tensor,
    text,
    tuple_of,
    write_legacy,
    write_zip,
)

from jaxsd.adapters.embedding import read_embedding
from jaxsd.convert.files.pickle_machine import run
from jaxsd.convert.files.torch_file import read_torch

ARRAYS = {
    "a.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "a.bias": np.float16([0.5, -2.0]),
    "ids": np.arange(4),
}
STORED = {str(k): array for k, array in enumerate(ARRAYS.values())}
STATE = dict_of({name: of_array(array, str(k)) for k, (name, array) in enumerate(ARRAYS.items())})
BASE = np.arange(24, dtype=np.float32)

formats = pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)


@formats
def test_state_dict(tmp_path, write):
    write(tmp_path / "x.bin", STATE, STORED)
    tensors, facts = read_torch(tmp_path / "x.bin")
    assert facts == {}
    assert tensors.keys() == ARRAYS.keys()
    for key, array in ARRAYS.items():
        assert (tensors[key].shape, tensors[key].dtype) == (array.shape, array.dtype)
        np.testing.assert_array_equal(tensors[key].read(), array)


@formats
@pytest.mark.parametrize("wrapped", [1, 3])
def test_wrapped_by_a_training_framework(tmp_path, write, wrapped):
    value = STATE
    for _ in range(wrapped):
        lightning = name("pytorch_lightning.callbacks.model_checkpoint", "ModelCheckpoint")
        value = dict_of(
            {
                "epoch": number(3),
                "global_step": number(875000),
                "callbacks": b"}(" + lightning + dict_of({"best": call(lightning)}) + b"u",
                "state_dict": value,
            }
        )
    write(tmp_path / "x.ckpt", value, STORED)
    tensors, facts = read_torch(tmp_path / "x.ckpt")
    assert tensors.keys() == ARRAYS.keys()
    assert facts == {"epoch": "3", "global_step": "875000"}


@formats
def test_a_single_key_around_the_state(tmp_path, write):
    write(tmp_path / "x.pt", dict_of({"params": STATE}), STORED)
    assert read_torch(tmp_path / "x.pt")[0].keys() == ARRAYS.keys()


@formats
def test_views_of_one_storage(tmp_path, write):
    """Offsets, a transposed matrix and a broken stride, as torch saves slices of a tensor."""
    place = storage("FloatStorage", "0", 24)
    views = {
        "tail": tensor(place, (4,), (1,), offset=20),
        "transposed": tensor(place, (4, 6), (1, 4)),
        "strided": tensor(place, (3, 2), (8, 3), offset=1),
        "scalar": tensor(place, (), (), offset=5),
        "empty": tensor(place, (0, 3), (3, 1)),
    }
    write(tmp_path / "x.bin", dict_of(views), {"0": BASE})
    tensors = read_torch(tmp_path / "x.bin")[0]
    np.testing.assert_array_equal(tensors["tail"].read(), [20, 21, 22, 23])
    np.testing.assert_array_equal(tensors["transposed"].read(), BASE.reshape(6, 4).T)
    np.testing.assert_array_equal(tensors["strided"].read(), [[1, 4], [9, 12], [17, 20]])
    assert tensors["scalar"].read() == 5
    assert tensors["empty"].read().shape == (0, 3)


def test_views_of_storages_before_1_6(tmp_path):
    view = tuple_of(text("view"), number(8), number(4))
    value = dict_of({"x": tensor(storage("FloatStorage", "0", 24, view), (4,), (1,))})
    write_legacy(tmp_path / "x.bin", value, {"0": BASE})
    np.testing.assert_array_equal(read_torch(tmp_path / "x.bin")[0]["x"].read(), [8, 9, 10, 11])


@formats
@pytest.mark.parametrize(
    ("shape", "strides", "offset"),
    [
        ((25,), (1,), 0),
        ((4,), (1,), 21),
        ((2, 2), (23, 1), 0),
        ((4,), (1,), -1),
        ((4,), (-1,), 4),
        ((-4,), (1,), 0),
        ((10**12,), (0,), 0),
        ((2**25,), (0,), 0),
        ((2**40, 2**40), (1, 1), 0),
        ((2, 2), (1,), 0),
        ((2**70,), (1,), 0),
    ],
)
def test_no_tensor_reaches_beyond_its_storage(tmp_path, write, shape, strides, offset):
    value = dict_of({"x": tensor(storage("FloatStorage", "0", 24), shape, strides, offset)})
    write(tmp_path / "x.bin", value, {"0": BASE})
    with pytest.raises(ValueError, match=r"beyond its storage|damaged"):
        read_torch(tmp_path / "x.bin")


def test_a_storage_is_as_long_as_the_file_has_it(tmp_path):
    """The count that the pickle claims is not believed."""
    value = dict_of({"x": tensor(storage("FloatStorage", "0", 10**6), (100,), (1,))})
    write_zip(tmp_path / "x.bin", value, {"0": BASE})
    with pytest.raises(ValueError, match="beyond its storage of 24 numbers"):
        read_torch(tmp_path / "x.bin")


EVIL = [
    ("os", "system"),
    ("posix", "system"),
    ("builtins", "eval"),
    ("__builtin__", "getattr"),
    ("builtins", "__import__"),
    ("subprocess", "Popen"),
    ("torch", "load"),
    ("torch.hub", "load"),
    ("collections", "ChainMap"),
    ("numpy", "fromfile"),
]


@formats
@pytest.mark.parametrize(("module", "attribute"), EVIL, ids=".".join)
def test_malicious_names_are_refused_and_not_called(tmp_path, write, module, attribute):
    trap = tmp_path / "trap"
    attack = call(name(module, attribute), text(f"touch {trap}"))
    write(tmp_path / "x.bin", dict_of({"x": of_array(BASE, "0"), "y": attack}), {"0": BASE})
    with pytest.raises(ValueError, match=f"{module}.{attribute}, which no weights need"):
        read_torch(tmp_path / "x.bin")
    assert not trap.exists()


class Attack:
    """What real malicious checkpoints do."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        import os

        return os.system, (self.command,)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_an_attack_in_every_protocol(tmp_path, protocol):
    trap = tmp_path / "trap"
    attack = pickle.dumps({"x": Attack(f"touch {trap}")}, protocol)
    with pytest.raises(ValueError, match=r"system, which no weights need"):
        run(io.BytesIO(attack))
    path = tmp_path / "x.bin"
    path.write_bytes(attack)
    with pytest.raises(ValueError, match="cannot be read"):
        read_torch(path)
    assert not trap.exists()


@formats
def test_tensors_in_other_containers(tmp_path, write):
    place = of_array(BASE, "0")
    values = {
        "tensor": place,
        "0": tuple_of(place, number(3)),
        "string_to_param.*": dict_of({"name": text("x"), "string_to_param": dict_of({"*": place})}),
    }
    for expected, value in values.items():
        write(tmp_path / "x.pt", value, {"0": BASE})
        (found,) = read_torch(tmp_path / "x.pt")[0].items()
        assert found[0] == expected
        np.testing.assert_array_equal(found[1].read(), BASE)
    write(tmp_path / "x.pt", number(3), {})
    with pytest.raises(ValueError, match="holds no tensors"):
        read_torch(tmp_path / "x.pt")


@formats
def test_tables_without_end(tmp_path, write):
    """A list that holds itself, and exponentially many names for one tensor."""
    doubled = of_array(BASE, "0") + b"q\x010" + b"(h\x01h\x01tq\x010" * 40 + b"h\x01"
    for value, storages in ((b"]q\x00h\x00a", {}), (doubled, {"0": BASE})):
        write(tmp_path / "x.pt", value, storages)
        with pytest.raises(ValueError, match="nested without end, or more items"):
            read_torch(tmp_path / "x.pt")


DOUBLED = b"q\x01h\x01\x86" * 40  # t = (t, t), forty times
HASHED = {
    "deep tuple as a key": b"}" + b"K\x01" + b"\x85" * 200_000 + b"K\x01s",
    "deep frozenset as a key": b"\x80\x04}" + b"(" * 100_000 + b"\x91" * 100_000 + b"K\x01s",
    "doubled tuple as a key": b"}K\x01" + DOUBLED + b"K\x01s",
    "doubled tuple in a set": b"\x80\x04\x8f(K\x01" + DOUBLED + b"\x90",
    "doubled tuple as a name": b"\x80\x04" + text("torch") + text("x") + DOUBLED + b"\x93",
    "doubled tuple as a shape": call(
        name("torch._utils", "_rebuild_tensor_v2"),
        storage("FloatStorage", "0", 24),
        number(0),
        text("x") + DOUBLED,
        tuple_of(number(1)),
    ),
    "doubled tuple as a storage": tuple_of(
        text("storage"), name("torch", "FloatStorage"), text("0") + DOUBLED, text("cpu"), number(1)
    )
    + b"Q",
    "doubled tuple as a function": call(
        name("torch._tensor", "_rebuild_from_type_v2"), text("x") + DOUBLED, b"N", b")", b"N"
    ),
    "long list copied often": b"]("
    + b"K\x01" * 100_000
    + b"eq\x010"
    + (name("collections", "OrderedDict") + b"(h\x01tR0") * 20_000
    + b"N",
    "many steps": b"K\x010" * 2_000_000 + b"N",
    "long number": b"\x8a\xff" + b"\x7f" * 255,
}


@pytest.mark.parametrize("code", HASHED.values(), ids=HASHED)
def test_work_grows_no_faster_than_the_pickle(tmp_path, code):
    start = time.process_time()
    write_zip(tmp_path / "x.pt", dict_of({"x": of_array(BASE, "0"), "y": code}), {"0": BASE})
    with contextlib.suppress(ValueError):
        assert read_torch(tmp_path / "x.pt")[0].keys() == {"x"}
    assert time.process_time() - start < 2


def test_a_long_list_that_holds_itself(tmp_path):
    items = b"]q\x00(" + b"h\x00" * 90_000 + b"e"
    write_zip(tmp_path / "x.pt", items, {})
    with pytest.raises(ValueError, match="nested without end, or more items"):
        read_torch(tmp_path / "x.pt")


LEFT_OVERS = [
    ("argparse", "Namespace"),
    ("builtins", "set"),
    ("__builtin__", "set"),
    ("collections", "Counter"),
    ("collections", "deque"),
    ("builtins", "slice"),
    ("torch.torch_version", "TorchVersion"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy", "ndarray"),
    ("omegaconf.dictconfig", "DictConfig"),
    ("pathlib", "PosixPath"),
    ("pathlib._local", "PosixPath"),
    ("pytorch_lightning.callbacks.early_stopping", "EarlyStopping"),
    ("pytorch_lightning.utilities.parsing", "AttributeDict"),
]


@formats
@pytest.mark.parametrize(("module", "attribute"), LEFT_OVERS)
def test_what_training_leaves_is_inert(tmp_path, write, module, attribute):
    made = call(name(module, attribute), text("x")) + b"}(" + text("a") + number(1) + b"ub"
    filled = name(module, attribute) + b")\x81(" + text("b") + number(2) + b"u"
    write(tmp_path / "x.ckpt", dict_of({"state_dict": STATE, "a": made, "b": filled}), STORED)
    assert read_torch(tmp_path / "x.ckpt")[0].keys() == ARRAYS.keys()


@formats
def test_embedding_of_the_original_code(tmp_path, write):
    """A ParameterDict: its parameters are in the state that BUILD gives it."""
    vectors = dict_of({"*": of_array(BASE.reshape(2, 12), "0")})
    parameters = name("torch.nn.modules.container", "ParameterDict")
    if write is WRITERS["legacy"]:  # which has the sources of modules
        parameters = tuple_of(text("module"), parameters, text("x.py"), text("class ...")) + b"Q"
    parameters += b")\x81"
    parameters += dict_of({"training": b"\x88", "_parameters": vectors}) + b"b"
    token = dict_of({"*": of_array(np.array(265), "1")})
    value = dict_of({"string_to_token": token, "string_to_param": parameters})
    write(tmp_path / "toy.pt", value, {"0": BASE, "1": np.array([265])})
    word, (found,) = read_embedding(tmp_path / "toy.pt")
    assert word == "toy"
    np.testing.assert_array_equal(found, BASE.reshape(2, 12))


@formats
def test_expanded_and_unfolded(tmp_path, write):
    """Strides of 0 and overlapping windows repeat numbers, as `expand` and `unfold` do."""
    place = storage("FloatStorage", "0", 24)
    views = {
        "expanded": tensor(place, (50, 3), (0, 1), offset=2),
        "unfolded": tensor(place, (22, 3), (1, 1)),
    }
    write(tmp_path / "x.bin", dict_of(views), {"0": BASE})
    tensors = read_torch(tmp_path / "x.bin")[0]
    np.testing.assert_array_equal(tensors["expanded"].read(), np.tile([2, 3, 4], (50, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(BASE, 3)
    np.testing.assert_array_equal(tensors["unfolded"].read(), windows)


@formats
@pytest.mark.parametrize("kind", ["float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "int32"])
def test_storages_without_a_type(tmp_path, write, kind):
    """Since 2.1 torch states the dtype beside a storage of bytes."""
    dtype = np.dtype(getattr(ml_dtypes, kind, kind))
    array = np.array([0.5, 1, 2, 4]).astype(dtype)
    place = storage("UntypedStorage", "0", array.nbytes).replace(b"ctorch\n", b"ctorch.storage\n")
    record = call(
        name("torch._utils", "_rebuild_tensor_v3"),
        place,
        number(0),
        tuple_of(number(4)),
        tuple_of(number(1)),
        b"\x89",
        call(name("collections", "OrderedDict")),
        name("torch", kind),
    )
    write(tmp_path / "x.bin", dict_of({"x": record}), {"0": array.view(np.uint8)})
    found = read_torch(tmp_path / "x.bin")[0]["x"]
    assert found.dtype == dtype
    np.testing.assert_array_equal(found.read().view(np.uint8), array.view(np.uint8))


@pytest.mark.parametrize(
    ("part", "value"),
    [(2, 3), (2, []), (4, {"0": 1}), (4, [0]), (4, ["0", "0"]), (4, ["1"]), (3, 5), (3, [])],
)
def test_legacy_pickles_of_the_wrong_kind(tmp_path, part, value):
    write_legacy(tmp_path / "x.bin", dict_of({"x": of_array(BASE, "0")}), {"0": BASE})
    with (tmp_path / "x.bin").open("rb") as file:
        whole, ends = file.read(), [0]
        file.seek(0)
        for _ in range(5):
            run(file)
            ends.append(file.tell())
    changed = whole[: ends[part]] + pickle.dumps(value, 2) + whole[ends[part + 1] :]
    (tmp_path / "x.bin").write_bytes(changed)
    with pytest.raises(ValueError, match="cannot be read"):
        read_torch(tmp_path / "x.bin")


def test_sizes_of_members_are_compared_with_the_file(tmp_path):
    """An archive that claims a member of 2**38 bytes, in its directory."""
    path = tmp_path / "x.pt"
    value = dict_of({"x": tensor(storage("FloatStorage", "0", 24), (2**30,), (1,))})
    write_zip(path, value, {"0": BASE})
    size = BASE.nbytes.to_bytes(4, "little") * 2
    assert path.read_bytes().count(size) == 2
    path.write_bytes(path.read_bytes().replace(size, b"\xfe\xff\xff\xff" * 2))
    with pytest.raises(ValueError, match=r"ends beyond its \d+ bytes|damaged"):
        read_torch(path)
    write_zip(path, value, {"0": BASE})
    size = len(program(value)).to_bytes(4, "little") * 2
    assert path.read_bytes().count(size) == 2
    path.write_bytes(path.read_bytes().replace(size, (2**20).to_bytes(4, "little") * 2))
    with pytest.raises(ValueError, match="truncated or damaged"):
        read_torch(path)


def test_more_members_than_weights_have(tmp_path):
    path = tmp_path / "x.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data.pkl", program(number(1)))
    whole = path.read_bytes()
    at = whole.rfind(b"PK\5\6")
    entry, end = whole[at - 54 : at], bytearray(whole[at:])
    assert entry.startswith(b"PK\1\2")
    end[12:16] = (70_000 * len(entry)).to_bytes(4, "little")
    path.write_bytes(whole[: at - 54] + entry * 70_000 + end)
    with pytest.raises(ValueError, match="list of members has 3780000 bytes, at most"):
        read_torch(path)


def test_names_cannot_write_to_the_terminal(tmp_path):
    write_zip(tmp_path / "x.pt", name("os", "\x1b[2Jsystem") + b")R", {})
    with pytest.raises(ValueError, match="asks for os") as caught:
        read_torch(tmp_path / "x.pt")
    assert str(caught.value).isprintable()


def test_what_is_allowed_is_inert():
    """Names that real files mention cannot be used as anything but stubs."""
    value = run(io.BytesIO(program(call(name("_codecs", "encode"), text("a"), text("rot13")))))[0]
    assert type(value).__name__ == "Inert"
    state = b"}(" + text("__class__") + name("torch", "device") + b"u"
    built = call(name("collections", "OrderedDict")) + state + b"b"
    assert run(io.BytesIO(program(built)))[0] == {}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_values_in_every_protocol(protocol):
    value = {
        "ints": [0, -1, 255, 65536, 2**40, -(2**90)],
        "floats": (1.5, -0.0),
        "text": "ü",
        "bytes": b"\x00\xff" if protocol >= 3 else "",
        "nothing": [None, True, False, (), [], {}],
        "tuples": [(1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)],
    }
    value["again"] = value["ints"]
    assert run(io.BytesIO(pickle.dumps(value, protocol)))[0] == value


@pytest.mark.parametrize(
    "code",
    [
        b"",
        b"\x80\x02",
        b"\x80\x02}",
        b"\x80\x02.",
        b"\x80\x02h\x05.",
        b"\x80\x02tR.",
        b"\x80\x02\x82\x01.",
        b"\x80\x02Phello\n.",
        b"\x80\x02X\xff\xff\xff\x7fa.",
        b"\x80\x02]](K\x01u.",
        b"\x80\x02}](K\x01u.",
        b"\x80\x02}]K\x01s.",
        b"\xff",
        b"\x80\x02K\x01)R.",
        program(call(name("torch._utils", "_rebuild_tensor_v2"), number(1))),
        program(tuple_of(text("module"), name("torch", "device")) + b"Q"),
    ],
    ids=repr,
)
def test_damaged_pickles(code):
    with pytest.raises(ValueError, match=r"damaged or cut short|list as a key"):
        run(io.BytesIO(code))


@formats
@pytest.mark.parametrize("keep", [0.1, 0.5, 0.9, 0.999])
def test_truncated(tmp_path, write, keep):
    path = tmp_path / "x.bin"
    write(path, STATE, STORED)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * keep)])
    with pytest.raises(ValueError, match=r"truncated|cut short"):
        read_torch(path)


def test_other_zips_and_pickles(tmp_path):
    path = tmp_path / "x.bin"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", b"")
    with pytest.raises(ValueError, match=r"0 members named data\.pkl"):
        read_torch(path)
    write_zip(path, STATE, STORED, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(ValueError, match="compressed"):
        read_torch(path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("archive/constants.pkl", b"")
    with pytest.raises(ValueError, match="it is TorchScript, a program; save the state_dict"):
        read_torch(path)
    write_zip(path, STATE, {"0": BASE})
    with pytest.raises(ValueError, match="storages is missing"):
        read_torch(path)
    path.write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(ValueError, match="not one of PyTorch's"):
        read_torch(path)


@pytest.mark.parametrize(
    ("half", "first", "total"),
    [("encoder", "0.weight", 1_338_528), ("decoder", "1.weight", 1_338_499)],
)
def test_real_taef2(half, first, total):
    """A whole real .pth; its storages are its tensors, one member of the archive each."""
    path = larger(f"taesd/taef2_{half}.pth")
    tensors, _ = read_torch(path)
    assert len(tensors) == 79
    assert {tensor.dtype.name for tensor in tensors.values()} == {"float16"}
    assert sum(tensor.read().size for tensor in tensors.values()) == total
    with zipfile.ZipFile(path) as archive:
        members = {
            hashlib.sha256(archive.read(info)).hexdigest()
            for info in archive.infolist()
            if "/data/" in info.filename
        }
    assert members == {
        hashlib.sha256(np.ascontiguousarray(tensor.read()).tobytes()).hexdigest()
        for tensor in tensors.values()
    }
    kernel = tensors[first].read().astype(np.float32)
    assert np.isfinite(kernel).all()
    assert 0.01 < kernel.std() < 1
