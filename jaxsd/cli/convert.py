"""`jaxsd convert SRC DST`: a model from one of PyTorch's layouts to another."""

import argparse

from jaxsd.cli.options import add_reading, reading


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    parser.add_argument("source", metavar="SRC", help="a folder, a file, or a hub id")
    parser.add_argument(
        "destination",
        metavar="DST",
        help="NAME.safetensors for a single file (webui, ComfyUI), else a diffusers folder",
    )
    parser.add_argument(
        "--dtype", help="float32, float16 or bfloat16; without it every tensor stays as it is"
    )
    add_reading(parser)
    parser.add_argument("--force", action="store_true", help="overwrite DST")


def main(args: argparse.Namespace) -> None:
    """Converts tensor by tensor, with a progress bar in bytes."""
    from tqdm import tqdm

    from jaxsd.convert.conversion import open_conversion

    conversion = open_conversion(
        args.source,
        args.destination,
        dtype=args.dtype,
        overwrite=args.force,
        **reading(args),
    )
    with tqdm(total=conversion.nbytes, unit="B", unit_scale=True, desc="converting") as bar:
        conversion.run(lambda count: bar.update(count) and None)
    print(f"wrote {args.destination}: {conversion.model.spec.family}")
