"""Writes a network of UpscalerJS (TensorFlow.js, ESRGAN-slim) in the form that jaxsd reads.

    python tools/pack_upscaler.py FOLDER OUT.safetensors [float16]

FOLDER has `model.json` and its weights, as in the npm package @upscalerjs/esrgan-slim.
Kernels are laid out as PyTorch's, and names stay.
"""

import json
import math
import sys
from pathlib import Path

import numpy as np

from jaxsd.convert.files.safetensors_file import write_safetensors
from jaxsd.convert.files.tensors import FlatTree, in_memory


def converted(folder: Path, dtype: str) -> FlatTree:
    """The tensors of a model, in the order of its manifest."""
    found = {}
    for group in json.loads((folder / "model.json").read_text("utf-8"))["weightsManifest"]:
        numbers = np.concatenate([np.fromfile(folder / name, "<f4") for name in group["paths"]])
        for one in group["weights"]:
            values, numbers = np.split(numbers, [math.prod(one["shape"])])
            array = values.reshape(one["shape"]).astype(dtype)
            layer, leaf = one["name"].split("/")
            if leaf == "kernel":
                array = np.ascontiguousarray(array.transpose(3, 2, 0, 1))
            found[f"{layer}.{'weight' if leaf == 'kernel' else leaf}"] = in_memory(array)
    return found


if __name__ == "__main__":
    source, target, *kind = sys.argv[1:]
    write_safetensors(Path(target), converted(Path(source), *(kind or ["float32"])), {})
