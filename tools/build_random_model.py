"""Writes a model of a family's shapes with small random weights, to measure files, memory and time.

python tools/build_random_model.py sd15           # a diffusers folder, float32: 4.3 GB
python tools/build_random_model.py sd15.safetensors --family sd1
"""

import argparse
from pathlib import Path

import numpy as np

from jaxsd import families
from jaxsd.convert import write_diffusers, write_single_file
from jaxsd.convert.files.tensors import nested
from jaxsd.convert.parameters import Shapes, text_parameters, unet_parameters, vae_parameters
from jaxsd.types import Params


def filled(shapes: Shapes) -> Params:
    """Numbers that repeat, float32, about as large as those of a trained network."""
    pattern = np.random.default_rng(0).uniform(-1, 1, 65537).astype(np.float32)

    def fill(shape: tuple[int, ...]) -> np.ndarray:
        gain = np.float32(0.5 * max(1, int(np.prod(shape[:-1]))) ** -0.5)
        return np.resize(pattern * gain, shape)

    return nested((path, fill(shape)) for path, shape in shapes.items())


def main() -> None:
    """Writes it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("out", type=Path, help="a folder, or NAME.safetensors")
    parser.add_argument("--family", default="sd1", choices=sorted(families.FAMILIES))
    args = parser.parse_args()
    spec = families.FAMILIES[args.family]
    params = {
        "unet": filled(unet_parameters(spec.unet)),
        "vae": filled(vae_parameters(spec.vae)),
        "text": [filled(text_parameters(config)) for config in spec.text],
    }
    write = write_single_file if args.out.suffix == ".safetensors" else write_diffusers
    write(args.out, spec, params)


if __name__ == "__main__":
    main()
