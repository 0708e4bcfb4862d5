"""What PyTorch's pickles may name, and the records that represent it.

Nothing named is ever looked up or imported; a name that is not in these tables is refused.
"""

from collections.abc import Callable, Iterable
from types import NoneType
from typing import Any, NamedTuple

from jaxsd.convert.files.tensors import MOST_AXES


class Refused(ValueError):
    """A pickle has what weights do not need."""


class Name(NamedTuple):
    """A Python object that a pickle names."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


class Inert(NamedTuple):
    """Placeholder for an object that weights do not need."""

    name: Name


class Storage(NamedTuple):
    """`count` numbers of a file; a storage that is a view of them begins at number `start`."""

    kind: Name
    key: str
    count: int
    start: int = 0


class TensorRecord(NamedTuple):
    """A strided view of a storage. Offset and strides count numbers.

    `dtype` is set where the storage does not have one.
    """

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: Name | None = None


UNTYPED = Name("torch.storage", "UntypedStorage")
_STORAGES = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
}
_DTYPES = (
    *("float64", "float32", "float16", "bfloat16"),
    *("float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz"),
    *("int64", "int32", "int16", "int8", "uint64", "uint32", "uint16", "uint8", "bool"),
)
DTYPES: dict[Name, str] = {Name("torch", name): dtype for name, dtype in _STORAGES.items()} | {
    Name("torch", dtype): dtype for dtype in _DTYPES
}
"""Storages and dtypes, by the names that pickles have for them."""

_LARGEST = 2**63
_KEYS = (str, int, float, bytes, NoneType, Name, Inert)


def table(pairs: Iterable[Any]) -> dict[Any, Any]:
    """A table of (key, value). Keys are plain, since hashing nested tuples has no bound.

    Raises:
      Refused: for a key of any other kind.
    """
    made = {}
    for key, value in pairs:
        if not isinstance(key, _KEYS):
            kind = type(key).__name__
            raise Refused(f"its pickle has a table with a {kind} as a key, which no weights need")
        made[key] = value
    return made


def _numbers(given: Any) -> tuple[int, ...]:
    """A shape or strides.

    Raises:
      ValueError: for anything but a few whole numbers of at least 0.
    """
    if not isinstance(given, tuple | list) or len(given) > MOST_AXES:
        raise ValueError("a shape is no list of a few numbers")
    if not all(type(number) is int and 0 <= number < _LARGEST for number in given):
        raise ValueError("a shape has something else than whole numbers")
    return tuple(given)


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *rest: Any) -> TensorRecord:
    """Strides are followed by requires_grad and hooks, and in version 3 by the dtype."""
    shape, strides, (offset,) = _numbers(shape), _numbers(strides), _numbers([offset])
    if not isinstance(storage, Storage) or len(shape) != len(strides):
        raise ValueError("a tensor has no storage, or not as many strides as axes")
    dtype = rest[2] if len(rest) > 2 and isinstance(rest[2], Name) else None
    return TensorRecord(storage, offset, shape, strides, dtype)


_TENSORS: dict[Name, Callable[..., Any]] = {
    Name("torch._utils", "_rebuild_tensor"): _tensor,
    Name("torch._utils", "_rebuild_tensor_v2"): _tensor,
    Name("torch._utils", "_rebuild_tensor_v3"): _tensor,
    Name("torch._utils", "_rebuild_parameter"): lambda data, *rest: data,
    Name("torch._utils", "_rebuild_parameter_with_state"): lambda data, *rest: data,
}


def _subclass(rebuild: Any, kind: Any, arguments: Any, state: Any) -> Any:
    if not isinstance(rebuild, Name) or not isinstance(arguments, tuple):
        raise ValueError("a tensor is made by something that is no function")
    return _TENSORS[rebuild](*arguments)


_CALLS: dict[Name, Callable[..., Any]] = _TENSORS | {
    Name("collections", "OrderedDict"): lambda pairs=(): table(pairs),
    Name("collections", "defaultdict"): lambda *_: {},
    Name("torch", "Size"): _numbers,
    Name("torch._tensor", "_rebuild_from_type_v2"): _subclass,
    # The embeddings of the original textual inversion; BUILD fills it.
    Name("torch.nn.modules.container", "ParameterDict"): lambda *_: {},
}
"""Functions and classes by name -> what a call of them makes here."""

_STUBS = {
    "_codecs": ("encode",),
    "argparse": ("Namespace",),
    **dict.fromkeys(
        ("builtins", "__builtin__"),
        (
            *("bool", "bytearray", "complex", "dict", "float", "frozenset", "int", "list"),
            *("range", "set", "slice", "str", "xrange"),
        ),
    ),
    "collections": ("Counter", "deque"),
    "datetime": ("date", "datetime", "timedelta", "timezone"),
    "numpy": ("dtype", "ndarray"),
    **dict.fromkeys(
        ("numpy.core.multiarray", "numpy._core.multiarray"), ("scalar", "_reconstruct")
    ),
    **dict.fromkeys(
        ("pathlib", "pathlib._local"),
        ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath", "Path"),
    ),
    "torch": ("device", "Tensor", "Generator"),
    "torch.nn.parameter": ("Parameter",),
    "torch.torch_version": ("TorchVersion",),
}
"""Module -> what may be named and called in it, without any effect."""
_FRAMEWORKS = (
    *("lightning.", "lightning_fabric.", "pytorch_lightning.", "pytorch_lightning_fabric."),
    *("numpy.dtypes.", "omegaconf."),
)
"""Packages of which everything may be named: training leaves their objects beside weights."""


def allowed(module: Any, name: Any) -> Name:
    """The record of a name that weights may have.

    Raises:
      Refused: for any other name.
      ValueError: for what is no name.
    """
    if not isinstance(module, str) or not isinstance(name, str):
        raise ValueError("a name is no text")
    record = Name(module, name)
    known = record in _CALLS or record in DTYPES or record == UNTYPED
    if (
        not known
        and name not in _STUBS.get(module, ())
        and not f"{module}.".startswith(_FRAMEWORKS)
    ):
        raise Refused(
            f"its pickle asks for {record}, which no weights need, so it is refused; none of it "
            "was run. Take the weights as .safetensors"
        )
    return record


def called(name: Any, arguments: Any) -> Any:
    """What a pickle gets for calling `name`: a table, a record of a tensor, or an inert stub."""
    if not isinstance(name, Name):
        raise ValueError(f"a {type(name).__name__} is called")
    return _CALLS[name](*arguments) if name in _CALLS else Inert(name)


def persistent(identity: Any) -> Storage | Name:
    """The storage, or the class of a module, that a persistent id names.

    It is `("storage", type, key, location, count)`; files older than PyTorch 1.6 add a view,
    `(key, start, count)`, or None, and have `("module", class, file, source)`.
    """
    if not isinstance(identity, tuple) or len(identity) not in (4, 5, 6):
        raise ValueError("a persistent id names no storage")
    if len(identity) == 4 and identity[0] == "module" and isinstance(identity[1], Name):
        return identity[1]
    tag, kind, key, _, count, *view = identity
    if tag != "storage" or not isinstance(key, str) or kind not in (*DTYPES, UNTYPED):
        raise ValueError("a persistent id names no storage")
    start = view[0][1] if view and view[0] is not None else 0
    return Storage(kind, key, *_numbers([count, start]))
