"""`jaxsd info SRC`: what a model, or any other file of weights, is."""

import argparse


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    parser.add_argument("source", metavar="SRC", help="a folder, a file, or a hub id")
    parser.add_argument(
        "--ema",
        action=argparse.BooleanOptionalAction,
        help="which U-Net to count where there are two: the average of training, or the last",
    )
    parser.add_argument("--prediction", help="for SD 2 single files: epsilon or v")


def main(args: argparse.Namespace) -> None:
    """Prints a line for each fact."""
    from jaxsd.convert.report import report

    lines = report(args.source, ema=args.ema, prediction=args.prediction)
    width = max(len(label) for label, _ in lines)
    for label, text in lines:
        print(f"{label:{width}}  {text}")
