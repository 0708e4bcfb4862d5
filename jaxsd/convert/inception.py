"""Inception v3's weights, from files in the names of torchvision and pytorch-fid."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxsd.convert.files.tensors import FlatTree, load, without
from jaxsd.convert.files.weight_files import open_weights
from jaxsd.convert.layer_shapes import Shapes
from jaxsd.convert.slots import Slot, fill, leaf_kind
from jaxsd.inception import INCEPTION, NORM_EPSILON, Steps, convolutions
from jaxsd.types import Params

FID_CLASSES = 1008
"""Classes of the weights that FID is defined with."""

_NORM = {"scale": "weight", "bias": "bias", "mean": "running_mean", "variance": "running_var"}
_CLASSIFIER = "fc.weight"


class InceptionFile(NamedTuple):
    """What a file of Inception v3 holds."""

    params: Params  # float32, path of each convolution -> kernel and bias
    classes: int  # number of classes in its training; 0 where the file does not say


def read_inception(path: str | Path, steps: Steps = INCEPTION) -> InceptionFile:
    """Weights of `jaxsd.models.Inception`, each batch norm folded into its convolution.

    Args:
      path: a state dict as .safetensors, or .pth, such as pytorch-fid's
        `pt_inception-2015-12-05-6726825d.pth`. Nothing of it is run.
      steps: the network.

    Raises:
      ValueError: one line that says what is wrong with the file.
      FileNotFoundError: no such file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no Inception weights at {path}: no such file")
    tensors, _ = open_weights(path)
    classes = next(iter(tensors[_CLASSIFIER].shape), 0) if _CLASSIFIER in tensors else 0
    paths = [path for path, _, _ in convolutions(steps)]
    shapes, slots = _layout(steps)
    tree = load(fill(slots, shapes, _used(tensors), str(path)))
    params: Params = {}
    for name in paths:
        *parents, last = name.split("/")
        stored, node = tree, params
        for parent in parents:
            stored, node = stored[parent], node.setdefault(parent, {})
        node[last] = folded(stored[last])
    return InceptionFile(params, classes)


def _used(tensors: FlatTree) -> FlatTree:
    """The tensors without classifiers and counts of training batches."""
    others = [
        name
        for name in tensors
        if name.startswith(("fc.", "AuxLogits.")) or name.endswith(".num_batches_tracked")
    ]
    return without(tensors, others)


def _layout(steps: Steps) -> tuple[Shapes, list[Slot]]:
    """Shapes and names of kernels and norms, as files have them."""
    shapes: Shapes = {}
    slots = []
    for path, channels, one in convolutions(steps):
        name = path.replace("/", ".")
        kernel = f"{path}/kernel"
        shapes[kernel] = (*one.kernel, channels, one.channels)
        slots.append(Slot(kernel, f"{name}.conv.weight", leaf_kind(kernel, shapes[kernel])))
        for leaf, stored in _NORM.items():
            shapes[f"{path}/{leaf}"] = (one.channels,)
            slots.append(Slot(f"{path}/{leaf}", f"{name}.bn.{stored}", "same"))
    return shapes, slots


def folded(stored: Params) -> Params:
    """Kernel and bias of a convolution with its batch norm folded in (Ioffe and Szegedy 2015).

    `stored` has `kernel` [h, w, in, out], and `scale`, `bias`, `mean` and `variance` [out].
    """
    kernel, scale, bias, mean, variance = (
        np.asarray(stored[name], np.float64) for name in ("kernel", *_NORM)
    )
    factor = scale / np.sqrt(variance + NORM_EPSILON)
    return {
        "kernel": (kernel * factor).astype(np.float32),
        "bias": (bias - mean * factor).astype(np.float32),
    }
