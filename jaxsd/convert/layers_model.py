"""Models of layers that TensorFlow.js wrote: model.json and files of weights, in 8 or 16 bits."""

import math
from os.path import isfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxsd.convert.diffusers.fields import Fields, read_json
from jaxsd.terminal import printable

NAME = "model.json"
LAYERS = (
    *("Add", "AveragePooling2D", "BatchNormalization", "Conv2D", "Dense", "DepthwiseConv2D"),
    *("Dropout", "Flatten", "InputLayer", "ReLU", "ZeroPadding2D"),
)
"""Classes of layers that are known: those of MobileNetV2."""
ACTIVATIONS = ("linear", "relu", "softmax")
_DTYPES = {"float32": np.float32, "uint8": np.uint8, "uint16": np.uint16}
_MOST = 2**26
"""Bytes of weights, of which MobileNetV2 has 2.6 MB."""


class Layer(NamedTuple):
    """A layer; it sees what the layers named `inputs` give."""

    name: str
    kind: str
    inputs: tuple[str, ...]
    settings: dict[str, Any]


class LayersModel(NamedTuple):
    """A model: its layers in the order they run, and its weights, float32."""

    layers: tuple[Layer, ...]
    weights: dict[str, np.ndarray]  # LAYER/NAME -> array

    @property
    def side(self) -> int:
        """Pixels along a side of the pictures that it sees."""
        return self.layers[0].settings["batch_input_shape"][1]


def read_layers_model(folder: Path) -> LayersModel:
    """The model in a folder.

    Raises:
      ValueError: one line that says what is wrong with it.
      OSError: a file of weights is missing.
    """
    where = folder / NAME
    table = read_json(where)
    try:
        config = table["modelTopology"]["model_config"]["config"]
        layers = tuple(_layer(one, where) for one in config["layers"])
        weights = _weights(table["weightsManifest"], folder)
        if layers[0].kind != "InputLayer" or layers[0].settings["batch_input_shape"][3] != 3:
            raise ValueError(f"{where} does not begin with pictures")
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        why = printable(f"{type(error).__name__} {error}")
        raise ValueError(f"{where} is no layers model of TensorFlow.js ({why})") from None
    return LayersModel(layers, weights)


def _layer(table: dict[str, Any], where: Path) -> Layer:
    name, kind, settings = table["name"], table["class_name"], table["config"]
    fields = Fields(settings | {"class_name": kind}, f"{where}, layer {name}")
    fields.one_of("class_name", LAYERS, None)
    fields.one_of("activation", ACTIVATIONS, "linear")
    pads = ("valid",) if kind == "AveragePooling2D" else ("valid", "same")
    if kind != "ZeroPadding2D":
        fields.one_of("padding", pads, "valid")
    wanted = {"data_format": "channels_last", "dilation_rate": [1, 1], "depth_multiplier": 1}
    fields.require(wanted | {"negative_slope": 0, "threshold": 0})
    nodes = table["inbound_nodes"]
    return Layer(name, kind, tuple(one[0] for one in nodes[0]) if nodes else (), settings)


def _weights(manifest: list[dict[str, Any]], folder: Path) -> dict[str, np.ndarray]:
    """The weights of all files, which lie behind each other; those of few bits are scaled."""
    found: dict[str, np.ndarray] = {}
    for group in manifest:
        paths = [folder / Path(name).name for name in group["paths"]]
        if missing := next((path.name for path in paths if not isfile(path)), None):
            raise FileNotFoundError(printable(f"{folder} has no {missing}, which {NAME} names"))
        if sum(path.stat().st_size for path in paths) > _MOST:
            raise ValueError(f"{folder} has more than {_MOST} bytes of weights")
        content, first = b"".join(path.read_bytes() for path in paths), 0
        for one in group["weights"]:
            few, size = one.get("quantization"), math.prod(one["shape"])
            dtype = np.dtype(_DTYPES[few["dtype"] if few else one["dtype"]])
            if not 0 <= size * dtype.itemsize <= len(content) - first:
                raise ValueError(printable(f"{folder} ends within {one['name']}"))
            values = np.frombuffer(content, dtype, size, first).reshape(one["shape"])
            first += values.nbytes
            if few:
                values = values * np.float32(few["scale"]) + np.float32(few["min"])
            found[one["name"]] = values.astype(np.float32)
    return found
