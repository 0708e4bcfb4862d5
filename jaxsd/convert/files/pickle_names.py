"""What PyTorch's pickles may name, and the records that represent it.

Nothing named is ever looked up or imported; a name that is not in these tables is refused.
"""

from collections.abc import Callable
from typing import Any, NamedTuple


class Refused(ValueError):
    """A pickle asked for something that it may not have."""


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
_DTYPES = ("float64", "float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2")
DTYPES: dict[Name, str] = {Name("torch", name): dtype for name, dtype in _STORAGES.items()} | {
    Name("torch", dtype): dtype for dtype in _DTYPES
}
"""Storages and dtypes, by the names that pickles have for them."""


def _tensor(
    storage: Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *rest: Any
) -> TensorRecord:
    """Strides are followed by requires_grad and hooks, and in version 3 by the dtype."""
    dtype = rest[2] if len(rest) > 2 and isinstance(rest[2], Name) else None
    return TensorRecord(storage, offset, tuple(shape), tuple(strides), dtype)


def _subclass(rebuild: Name, kind: Name, arguments: tuple[Any, ...], state: Any) -> Any:
    return _CALLS[rebuild](*arguments)


_CALLS: dict[Name, Callable[..., Any]] = {
    Name("collections", "OrderedDict"): lambda pairs=(): dict(pairs),
    Name("torch", "Size"): tuple,
    Name("torch._utils", "_rebuild_tensor"): _tensor,
    Name("torch._utils", "_rebuild_tensor_v2"): _tensor,
    Name("torch._utils", "_rebuild_tensor_v3"): _tensor,
    Name("torch._utils", "_rebuild_parameter"): lambda data, *rest: data,
    Name("torch._utils", "_rebuild_parameter_with_state"): lambda data, *rest: data,
    Name("torch._tensor", "_rebuild_from_type_v2"): _subclass,
}
"""Functions by name -> what a call of them makes here."""

_MENTIONED = {
    Name("torch", "device"),
    Name("torch", "Tensor"),
    Name("torch.nn.parameter", "Parameter"),
    # What training frameworks leave beside the weights in real checkpoints.
    Name("pytorch_lightning.callbacks.model_checkpoint", "ModelCheckpoint"),
    Name("lightning.pytorch.callbacks.model_checkpoint", "ModelCheckpoint"),
    Name("numpy.core.multiarray", "scalar"),
    Name("numpy._core.multiarray", "scalar"),
    Name("numpy", "dtype"),
    Name("numpy.dtypes", "Float64DType"),
    Name("_codecs", "encode"),
}
"""What may be named and called, without any effect."""

_KNOWN = _CALLS.keys() | _MENTIONED | DTYPES.keys() | {UNTYPED}


def allowed(module: str, name: str) -> Name:
    """The record of a name that weights may have.

    Raises:
      Refused: for any other name.
    """
    record = Name(module, name)
    if record not in _KNOWN:
        raise Refused(f"its pickle asks for {record}, which no weights need: it may be malicious")
    return record


def called(name: Any, arguments: Any) -> Any:
    """What a pickle gets for calling `name`: a table, a record of a tensor, or an inert stub."""
    if not isinstance(name, Name):
        raise ValueError(f"a {type(name).__name__} is called")
    return _CALLS[name](*arguments) if name in _CALLS else Inert(name)


def persistent(identity: Any) -> Storage:
    """The storage that a persistent id names.

    It is `("storage", type, key, location, count)`; files older than PyTorch 1.6 add a view,
    `(key, start, count)`, or None.
    """
    tag, kind, key, _, count, *view = identity
    if tag != "storage" or not isinstance(kind, Name):
        raise ValueError("a persistent id names no storage")
    start = view[0][1] if view and view[0] is not None else 0
    return Storage(kind, str(key), count, start)
