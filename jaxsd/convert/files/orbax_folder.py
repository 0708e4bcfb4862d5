"""Trees of arrays that Orbax keeps in a folder (OCDBT), read as PyTorch's, one array at a time.

`_METADATA` names the leaves. The array of ("params", "conv_in", "kernel") lies in the store under
`params.conv_in.kernel`. See "Checkpoint Format Guide" on https://orbax.readthedocs.io.
"""

from pathlib import Path
from typing import Any

from jaxsd.convert.files.flax_file import in_torch, torch_name
from jaxsd.convert.files.tensors import DTYPES, FlatTree, LazyTensor
from jaxsd.terminal import printable
from jaxsd.text_files import read_json

_PARAMS = "params"
_LONGEST = 500


def read_orbax(folder: Path) -> FlatTree:
    """The tensors below `params` of a saved state, under the names and in the shapes of PyTorch.

    Raises:
      ValueError: no such state, or one that is damaged.
    """
    import tensorstore  # only these checkpoints need it, and it is slow to import

    told = read_json(folder / "_METADATA")
    leaves = told.get("tree_metadata")
    if not isinstance(leaves, dict) or not (folder / "manifest.ocdbt").is_file():
        raise ValueError(f"{folder} is no state that Orbax saved with OCDBT")
    driver = "zarr3" if told.get("use_zarr3") else "zarr"
    store = {"driver": "ocdbt", "base": f"file://{folder.absolute()}/"}
    found = {}
    for leaf in leaves.values():
        names = _names(leaf)
        if names[:1] == (_PARAMS,) and len(names) > 1:
            spec = {"driver": driver, "kvstore": store | {"path": ".".join(names)}}
            found[names[1:]] = tensorstore.open(spec, read=True)
    tensors: FlatTree = {}
    try:
        for names, opening in found.items():
            tensors[torch_name(names)] = in_torch(names[-1], _lazy(opening.result()))
    except Exception as error:  # TensorStore's have no type of their own
        reason = printable(str(error).partition("\n")[0], _LONGEST)
        raise ValueError(f"{folder} is damaged: {reason}") from None
    return tensors


def _names(leaf: Any) -> tuple[str, ...]:
    """The path of a leaf in `_METADATA`; empty where it has none."""
    keys = leaf.get("key_metadata") if isinstance(leaf, dict) else None
    return tuple(str(one.get("key")) for one in keys or () if isinstance(one, dict))


def _lazy(array: Any) -> LazyTensor:
    """An array of TensorStore.

    Raises:
      ValueError: it has no floats of a kind known here.
    """
    dtype = array.dtype.numpy_dtype
    if dtype not in DTYPES.values():
        raise ValueError(f"an array of {dtype}; allowed is {', '.join(DTYPES)}")
    return LazyTensor(tuple(array.shape), dtype, lambda: array.read().result())
