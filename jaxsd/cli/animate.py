"""`jaxsd animate FACE.png --expressions "smiling, crying"`: a face whose expression changes."""

import argparse
from pathlib import Path

from jaxsd.cli.hosts import add_hosts
from jaxsd.cli.video import draw_video
from jaxsd.typed import overridden, value_of
from jaxsd.video.config import read_video
from jaxsd.video.expressions import SUITS, moving_face


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    parser.add_argument("face", metavar="FACE", help="a picture of a face")
    parser.add_argument(
        "values",
        nargs="*",
        metavar="key=value",
        help="keys of a video or options of a picture, such as steps=30 or loop=true",
    )
    parser.add_argument(
        "--expressions",
        required=True,
        metavar="LIST",
        help="with commas between, such as 'smiling, surprised, crying'; the first is that of FACE",
    )
    parser.add_argument(
        "--prompt",
        default="a {} face",
        metavar="TEXT",
        help="what FACE shows, with {} for the expression ('a {} face')",
    )
    parser.add_argument(
        "--seconds", type=float, help="length; one for each change, and a half, if not given"
    )
    parser.add_argument("--fps", type=float, help="frames in a second (12)")
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help=".gif, .mp4, .webm, .png, .webp, or a folder (FACE.gif)",
    )
    add_hosts(parser)


def main(args: argparse.Namespace) -> None:
    """Finds the noise that leads to the face, and draws from it with each expression."""
    usual = SUITS | {"output": f"{Path(args.face).stem}.gif"}
    given = {name: getattr(args, name) for name in ("seconds", "fps", "output")}
    told = overridden(usual, args.values)
    told |= {name: value for name, value in given.items() if value is not None}
    expressions = [one.strip() for one in args.expressions.split(",")]
    seconds = value_of(float, told.pop("seconds", 0.0), "seconds")
    draw_video(
        read_video(None, [], told | moving_face(args.face, args.prompt, expressions, seconds)), args
    )
