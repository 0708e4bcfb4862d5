"""`jaxsd convert SRC DST`: a model from one of PyTorch's layouts to another."""

import argparse


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
    parser.add_argument(
        "--ema",
        action=argparse.BooleanOptionalAction,
        help="which U-Net to take where there are two: the average of training, or the last",
    )
    parser.add_argument(
        "--prediction", help="epsilon, v or sample, for files that do not say it (SD 2)"
    )
    parser.add_argument("--force", action="store_true", help="overwrite DST")


def main(args: argparse.Namespace) -> None:
    """Converts tensor by tensor, with a progress bar in bytes."""
    from tqdm import tqdm

    from jaxsd.convert.conversion import open_conversion

    conversion = open_conversion(
        args.source,
        args.destination,
        dtype=args.dtype,
        ema=args.ema,
        prediction=args.prediction,
        overwrite=args.force,
    )
    with tqdm(total=conversion.nbytes, unit="B", unit_scale=True, desc="converting") as bar:
        conversion.run(lambda count: bar.update(count) and None)
    print(f"wrote {args.destination}: {conversion.model.spec.family}")
