"""`jaxsd upscale PICTURE ... --model FILE -o OUT`: pictures, enlarged by a network."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from jaxsd.cli.progress import keep_programs, steps_shown
from jaxsd.convert.files.tensors import dtype_named
from jaxsd.convert.upscaler import open_upscaler
from jaxsd.images import image_size, read_image, write_picture
from jaxsd.memory import check_enlarged
from jaxsd.outputs import check_file, check_sides

LEAST_TILE = 16


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    parser.add_argument("pictures", nargs="+", metavar="PICTURE", help="a file of any kind")
    parser.add_argument(
        "--model",
        required=True,
        metavar="FILE",
        help="the network: ESRGAN's, Real-ESRGAN's, or a residual dense one, .pth or .safetensors",
    )
    parser.add_argument(
        "-o",
        "--output",
        default=".",
        metavar="OUT",
        help="NAME.png, .jpg or .webp for one picture, or a folder (this one), where each is "
        "NAME_x4.png",
    )
    parser.add_argument(
        "--tile",
        type=int,
        default=256,
        metavar="N",
        help="pixels along the side of what is enlarged at a time; less takes less memory; 0 for "
        "all at once (256)",
    )
    parser.add_argument("--dtype", default="float32", help="float32, bfloat16 or float16 (float32)")


def main(args: argparse.Namespace) -> None:
    """Looks at all pictures before weights are read, then enlarges them one by one."""
    dtype_named(args.dtype)
    if args.tile and args.tile < LEAST_TILE:
        raise ValueError(f"--tile {args.tile} is not 0, nor {LEAST_TILE} pixels or more")
    scale = open_upscaler(Path(args.model))[0].scale
    outputs = output_files(Path(args.output), args.pictures, scale)
    sizes = [_of(image_size, name) for name in args.pictures]
    for (height, width), output in zip(sizes, outputs, strict=True):
        check_enlarged(height * scale, width * scale)
        check_sides(output, height * scale, width * scale)
    # Imported here because it imports jax: wrong arguments are reported without that delay.
    from jaxsd.pipeline.upscaling import load_upscaler

    keep_programs()
    network = load_upscaler(args.model, args.dtype)
    before, total = 0, sum(network.calls(*size, args.tile) for size in sizes)
    with steps_shown(total) as progress:
        for name, size, output in zip(args.pictures, sizes, outputs, strict=True):

            def shown(done: int, before: int = before) -> None:
                progress(before + done, total)

            write_picture(output, network.picture(_of(read_image, name), args.tile, shown))
            before += network.calls(*size, args.tile)
            print(output)


def output_files(output: Path, names: Sequence[str], scale: int) -> list[Path]:
    """Where each picture is written.

    Raises:
      ValueError: one file for several pictures, or two pictures of one name, or what can not be
        written.
    """
    if output.suffix and not output.is_dir():
        if len(names) > 1:
            raise ValueError(f"-o {output} is a file for {len(names)} pictures; give a folder")
        return [check_file(output)]
    if not output.is_dir():
        raise ValueError(f"-o {output} is no folder, nor NAME.png, .jpg or .webp")
    paths = [output / f"{Path(name).stem}_x{scale}.png" for name in names]
    if twice := next((path for path in paths if paths.count(path) > 1), None):
        raise ValueError(f"two pictures would be written to {twice}; enlarge one of them by itself")
    return [check_file(path) for path in paths]


def _of(read: Callable[[str], Any], name: str) -> Any:
    try:
        return read(name)
    except OSError as error:
        raise OSError(f"picture {name!r}: {error.strerror or error}") from None
