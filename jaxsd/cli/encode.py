"""`jaxsd encode PICTURE ... -o LATENTS`: pictures as latents, for other tools."""

import argparse
from pathlib import Path

import numpy as np

from jaxsd.cli.options import add_model, autoencoder_of, loading
from jaxsd.cli.progress import say
from jaxsd.convert.files.latents import check_name, write_latents
from jaxsd.drawings import with_programs
from jaxsd.images import fitted, read_image
from jaxsd.settings import SIZE, settings_from
from jaxsd.writing import check_writable


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    parser.add_argument("pictures", nargs="+", metavar="PICTURE", help="a file of any kind")
    parser.add_argument(
        "-o",
        "--output",
        default="latents.npy",
        metavar="LATENTS",
        help=".npy, as diffusers has latents; .safetensors or .latent, as ComfyUI has them",
    )
    parser.add_argument(
        f"--{SIZE}",
        metavar="WxH",
        help="in pixels; pictures are scaled to cover it, and their middle is cut out (that of the "
        "first picture, cut to what the model allows)",
    )
    add_model(parser)


def main(args: argparse.Namespace) -> None:
    """Reads all pictures before a weight is read, then encodes them one by one."""
    output = Path(args.output)
    check_name(output)
    check_writable(output.parent)
    images = [_read(name) for name in args.pictures]
    asked = settings_from({SIZE: args.size} if args.size else {})
    height, width = asked.height or images[0].shape[0], asked.width or images[0].shape[1]
    vae = autoencoder_of(args, height, width)
    if not args.size:
        height, width = (side // vae.downscale * vae.downscale for side in (height, width))
    if not args.size and (other := {image.shape for image in images} - {images[0].shape}):
        raise ValueError(f"pictures of {len(other) + 1} sizes; say with --size which they get")
    if not height or not width or height % vae.downscale or width % vae.downscale:
        raise ValueError(f"the size {width}x{height} is not a multiple of {vae.downscale} pixels")
    images = [fitted(image, height, width) for image in images]
    pipe = with_programs(args.model, say, **loading(args))
    latents = np.concatenate([pipe.encode(image[None]) for image in images])
    if not np.isfinite(latents).all():
        raise FloatingPointError(f"latents were not finite in {args.dtype}; try dtype float32")
    write_latents(output, latents, vae)
    print(output)


def _read(name: str) -> np.ndarray:
    try:
        return read_image(name)
    except OSError as error:
        raise OSError(f"picture {name!r}: {error.strerror or error}") from None
