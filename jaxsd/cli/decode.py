"""`jaxsd decode LATENTS -o PICTURE`: pictures of latents that this or another program made."""

import argparse
from pathlib import Path

from jaxsd.cli.options import add_model, autoencoder_of, loading
from jaxsd.cli.progress import say
from jaxsd.convert.files.latents import read_latents
from jaxsd.drawings import with_programs
from jaxsd.images import write_picture
from jaxsd.outputs import check_file


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    parser.add_argument(
        "latents",
        metavar="LATENTS",
        help="a .npy file [B, c, h, w] of diffusers' latents, or ComfyUI's .safetensors or .latent",
    )
    parser.add_argument(
        "-o",
        "--output",
        default="decoded.png",
        metavar="PICTURE",
        help="a .png, .jpg or .webp file; several latents become NAME_0.png, NAME_1.png, ...",
    )
    add_model(parser)


def main(args: argparse.Namespace) -> None:
    """Reads the latents before a weight is read, then decodes them one by one."""
    vae, output = autoencoder_of(args, 1, 1), Path(args.output)
    latents = read_latents(Path(args.latents), vae)
    autoencoder_of(args, *(side * vae.downscale for side in latents.shape[1:3]))
    paths = [output.with_stem(f"{output.stem}_{i}") for i in range(len(latents))]
    for path in (paths := paths if len(latents) > 1 else [output]):
        check_file(path)
    pipe = with_programs(args.model, say, **loading(args))
    for path, own in zip(paths, latents, strict=True):
        write_picture(path, pipe.decode(own[None])[0])
        print(path)
