"""Networks that enlarge pictures, from files in the names of their authors' code.

What a file is, and its numbers, follow from names and shapes of its tensors.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxsd.convert.files.tensors import DTYPES, FlatTree, LazyTensor, cast, load
from jaxsd.convert.files.weight_files import open_weights
from jaxsd.convert.kinds import kind_of
from jaxsd.convert.slots import Slot, fill, leaf_kind
from jaxsd.convert.upscaler_layouts import LAYOUTS
from jaxsd.types import Params
from jaxsd.upscalers import UpscalerConfig

KINDS = "ESRGAN's (old and new names), Real-ESRGAN's and its compact ones, and residual dense ones"

_WRAPPERS = ("params_ema.", "params.", "module.")
"""Of tensors' names; the average of the weights comes before the weights."""


class UpscalerFile(NamedTuple):
    """A network that enlarges pictures."""

    config: UpscalerConfig
    params: Params  # float32


def read_upscaler(path: str | Path) -> UpscalerFile:
    """The network in a `.pth` or `.safetensors` file. Nothing of it is run.

    Raises:
      ValueError: one line that says what is wrong with the file.
      FileNotFoundError: no such file.
    """
    config, tree = open_upscaler(Path(path))
    wide = {name: cast(one, DTYPES["float32"], name) for name, one in tree.items()}
    return UpscalerFile(config, load(stacked(wide)))


def stacked(tree: FlatTree) -> FlatTree:
    """The same, where the blocks `body_0`, `body_1`, ... are one, `body`, [blocks, ...]."""
    groups: dict[str, list[LazyTensor]] = {}
    for path, tensor in tree.items():
        groups.setdefault(re.sub(r"^body_\d+/", "body/", path), []).append(tensor)
    return {
        path: _stack(tensors) if path.startswith("body/") else tensors[0]
        for path, tensors in groups.items()
    }


def _stack(tensors: Sequence[LazyTensor]) -> LazyTensor:
    shape = (len(tensors), *tensors[0].shape)
    return LazyTensor(shape, tensors[0].dtype, lambda: np.stack([one.read() for one in tensors]))


def open_upscaler(path: Path) -> tuple[UpscalerConfig, FlatTree]:
    """The numbers and the tensors of a network that enlarges pictures, without reading those.

    Raises:
      ValueError: one line that says what is wrong with the file.
      FileNotFoundError: no such file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no network that enlarges pictures at {path}: no such file")
    tensors = _unwrapped(open_weights(path)[0])
    layout = next((own for sign, own in LAYOUTS.items() if sign in tensors), None)
    if layout is None:
        raise ValueError(
            f"{path} is {kind_of(tensors)}; networks that enlarge pictures are {KINDS}"
        )
    config_of, shapes_of, name_of = layout
    try:
        config = config_of(tensors)
    except (ValueError, IndexError) as error:
        raise ValueError(f"{path} is no network that enlarges pictures: {error}") from None
    shapes = shapes_of(config)
    slots = [
        Slot(own, name_of(config, own), leaf_kind(own, shape)) for own, shape in shapes.items()
    ]
    return config, fill(slots, shapes, tensors, str(path))


def _unwrapped(tensors: FlatTree) -> FlatTree:
    for wrapper in _WRAPPERS:
        inner = {
            name.removeprefix(wrapper): tensor
            for name, tensor in tensors.items()
            if name.startswith(wrapper)
        }
        tensors = inner or tensors
    return tensors
