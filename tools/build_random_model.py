"""Write a whole model of random weights, to measure with where the real one is not.

    python tools/build_random_model.py sd15                # a diffusers folder, float32: 4.3 GB
    python tools/build_random_model.py xl.safetensors --family=sdxl --dtype=float16

A file has the original code's names, the shapes of the family and no settings of its own. Numbers
are a pattern of uniform ones, each layer of unit gain, so that what is drawn stays finite. They are
made one tensor at a time: the largest part of XL in memory is one kernel.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import app
from absl.flags import argparse_flags

from jaxsd.config import ModelSpec
from jaxsd.convert import write_diffusers, write_single_file
from jaxsd.convert.files.tensors import LazyTensor, dtype_named, nested
from jaxsd.convert.parameters import parameters
from jaxsd.families import FAMILIES

PATTERN = 65_537
"""Numbers that repeat; a prime, so that rows of a kernel differ."""


def random_model(spec: ModelSpec, dtype: str) -> dict[str, Any]:
    """The parameters of all networks of a family, as tensors that are made when they are read."""
    pattern = np.random.default_rng(0).uniform(-1, 1, PATTERN).astype(np.float32)
    trees = {
        part: nested((path, _tensor(path, shape, dtype, pattern)) for path, shape in shapes.items())
        for part, shapes in parameters(spec).items()
    }
    texts = [trees.pop(f"text_{i}") for i in range(len(spec.text))]
    return trees | {"text": texts}


def _tensor(path: str, shape: tuple[int, ...], dtype: str, pattern: np.ndarray) -> LazyTensor:
    own = dtype_named(dtype)

    def read() -> np.ndarray:
        name = path.rpartition("/")[2]
        inputs = np.prod(shape[:-1]) if name == "kernel" else 25
        made = np.resize(pattern * np.float32((3 / inputs) ** 0.5), shape)
        return (made + np.float32(name == "scale")).astype(own)

    return LazyTensor(shape, np.dtype(own), read)


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse_flags.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path, help="a folder, or NAME.safetensors")
    parser.add_argument("--family", default="sd1", choices=FAMILIES)
    parser.add_argument("--dtype", default="float32", help="float32, bfloat16 or float16")
    return parser.parse_args(argv[1:])


def main(args: argparse.Namespace) -> None:
    """Writes it; a wrong command line gives one line and exit code 2."""
    try:
        spec = FAMILIES[args.family]
        write = write_single_file if args.out.suffix == ".safetensors" else write_diffusers
        write(args.out, spec, random_model(spec, args.dtype))
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    app.run(main, flags_parser=arguments)
