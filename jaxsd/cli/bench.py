"""`jaxsd bench`: how long the parts of models take here, compared with other programs."""

import argparse
import shlex
import sys
from pathlib import Path

from jaxsd.benchmark.jobs import DTYPES, MODELS, OURS, PARTS, STORED, Job, jobs_of, peers_of
from jaxsd.terminal import printable
from jaxsd.writing import check_place, replacing


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    parser.add_argument(
        "--quick",
        action="store_true",
        help="the built-in model and the SD 1.5 shape at 256 pixels, in float32: minutes",
    )
    parser.add_argument("--models", nargs="+", default=["sd15"], choices=MODELS, help="(sd15)")
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=PARTS, help="(all)")
    parser.add_argument(
        "--dtypes", nargs="+", default=["float32"], choices=DTYPES, help="(float32)"
    )
    parser.add_argument(
        "--stored",
        default="float32",
        choices=STORED,
        help="dtype of the files that the weights would come from (float32)",
    )
    parser.add_argument("--batch", type=int, default=1, metavar="N", help="images (1)")
    parser.add_argument("--size", type=int, metavar="PIXELS", help="(what suits the model)")
    parser.add_argument("--steps", type=int, default=20, metavar="N", help="of an image (20)")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="runs that count (5)")
    parser.add_argument(
        "--peer",
        action="append",
        default=[],
        metavar="NAME=COMMAND",
        help="another program to time; tools/benchmark.py passes those that it knows",
    )
    parser.add_argument("--as", dest="said", metavar="COMMAND", help="what the report says was run")
    parser.add_argument(
        "-o", "--output", metavar="FOLDER", help="for BENCHMARKS.md, results.json and plot.png"
    )


def main(args: argparse.Namespace) -> None:
    """Times every job with every worker, and prints and writes the results."""
    jobs, peers = _jobs(args), peers_of(args.peer)
    folder = Path(args.output or ".")
    check_place(folder)

    from jaxsd.benchmark.contest import COMMAND, contest
    from jaxsd.benchmark.report import add_section, as_json, document, machine, plot

    workers = {OURS: COMMAND} | peers
    facts, command = machine(), args.said or shlex.join(["jaxsd", *sys.argv[1:]])
    contests, say = [], lambda line: print(f"  {printable(line)}", file=sys.stderr)
    for job in jobs:
        print(f"{job.model} {job.part} {job.dtype}", file=sys.stderr)
        contests.append(contest(job, workers, args.rounds, say))
    text = document(facts, command, contests)
    print(text)
    if args.output:
        folder.mkdir(parents=True, exist_ok=True)
        add_section(folder / "BENCHMARKS.md", text)
        with replacing(folder / "results.json") as part:
            part.write_text(as_json(facts, command, contests), encoding="utf-8")
        if not plot(contests, folder / "plot.png"):
            print("no plot: matplotlib is not installed", file=sys.stderr)


def _jobs(args: argparse.Namespace) -> list[Job]:
    """What to time.

    Raises:
      ValueError: a number that is not allowed.
    """
    if args.rounds < 1:
        raise ValueError(f"--rounds {args.rounds} is not a number above 0")
    if args.quick:
        args.rounds = 3
        small = jobs_of(["emoji"], list(PARTS), ["float32"], args.batch, None, args.steps)
        return small + jobs_of(["sd15"], ["unet", "vae"], ["float32"], args.batch, 256, args.steps)
    sizes = (args.batch, args.size, args.steps)
    return jobs_of(args.models, args.parts, args.dtypes, *sizes, args.stored)
