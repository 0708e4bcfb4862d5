"""`jaxsd score FOLDER`: how good pictures are, in numbers."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import jaxsd
from jaxsd.cli.hosts import add_hosts, join_hosts
from jaxsd.images import contact_sheet, write_png
from jaxsd.inception import FEATURES
from jaxsd.resize import thumbnail
from jaxsd.score.facts import Fact, Unreadable
from jaxsd.score.findings import Findings, Hosts
from jaxsd.score.pictures import Picture, pictures_in, read_picture
from jaxsd.score.report import Numbers, clip_numbers, distances, plain_numbers, table
from jaxsd.score.statistics import Statistics, read_statistics, write_statistics
from jaxsd.score.survey import survey

SHEET = 64
"""Pictures on the contact sheet, at most."""
SIDE = 128
"""Pixels of each."""
WAIT = 7 * 24 * 3600
"""Seconds that a host may end before the others."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    parser.add_argument(
        "folder", help="pictures, WebDataset tars or ArrayRecord files, as `jaxsd bulk` writes them"
    )
    parser.add_argument(
        "--inception",
        metavar="FILE",
        help="Inception v3's weights, pytorch-fid's .pth or .safetensors, for FID and KID",
    )
    parser.add_argument(
        "--reference", metavar="PLACE", help="what to compare with: such a folder, or an .npz file"
    )
    parser.add_argument(
        "--save-statistics", metavar="FILE", help="keep FOLDER's as an .npz, for --reference later"
    )
    parser.add_argument(
        "--clip",
        metavar="PLACE",
        help="a CLIP of transformers, or its file of weights, for how pictures fit their prompts",
    )
    parser.add_argument("-o", "--output", metavar="FOLDER", help="default: beside it, FOLDER-score")
    parser.add_argument(
        "--batch-size", type=int, default=32, metavar="N", help="pictures a device is given (32)"
    )
    add_hosts(parser)


def main(args: argparse.Namespace) -> None:
    """Looks at the pictures, and at the reference, and writes what came of it."""
    check(args)
    pictures = pictures_in(Path(args.folder))
    if not pictures:
        raise ValueError(f"{args.folder} has no pictures")
    reference, others = reference_of(args.reference)
    place = Path(args.folder).resolve()
    output = Path(args.output or place.with_name(f"{place.name}-score"))
    hosts = hosts_of(args, output)
    networks, weights = networks_of(args)
    findings = look(pictures, hosts, "pictures", networks)
    there = look(others, hosts, "reference", networks | {"clip": None}) if others else None
    if findings is None:  # the first host has them all
        return
    numbers = {"version": jaxsd.__version__, "folder": args.folder}
    numbers |= plain_numbers(findings.facts)
    if args.inception:
        own = findings.sums.statistics(weights)
        if args.save_statistics:
            write_statistics(Path(args.save_statistics), own)
            print(args.save_statistics, file=sys.stderr)
        if there is not None:
            reference = there.sums.statistics(weights)
        if reference is not None:
            numbers |= {"reference": args.reference, **distances(own, reference)}
    if args.clip:
        numbers["clip"] = clip_numbers(findings.cosines)
    write(output, numbers, pictures, findings.facts)
    if not (args.inception or args.clip):
        print("for FID and KID give --inception and --reference, for CLIP scores --clip; see -h")


def check(args: argparse.Namespace) -> None:
    """Refuses arguments that do not fit together.

    Raises:
      ValueError: naming them.
    """
    if args.batch_size < 1:
        raise ValueError(f"--batch-size is {args.batch_size}, it must be more than 0")
    if (args.reference or args.save_statistics) and not args.inception:
        raise ValueError("--reference and --save-statistics need --inception, a file of weights")
    if args.inception and not (args.reference or args.save_statistics):
        raise ValueError("--inception needs a --reference to compare with, or --save-statistics")
    if args.save_statistics:
        kept = Path(args.save_statistics)
        if kept.suffix != ".npz" or not kept.parent.is_dir():
            raise ValueError(f"--save-statistics {kept} is not a .npz file in a folder that exists")


def reference_of(place: str | None) -> tuple[Statistics | None, list[Picture]]:
    """The statistics of a file, or the pictures of a folder."""
    if place is None:
        return None, []
    path = Path(place)
    if path.is_file() and path.suffix == ".npz":
        return read_statistics(path, FEATURES), []
    pictures = pictures_in(path)
    if not pictures:
        raise ValueError(f"--reference {place} has no pictures")
    return None, pictures


def hosts_of(args: argparse.Namespace, output: Path) -> Hosts:
    """The host at work among those that look together."""
    join_hosts(args, patience=WAIT)
    if args.coordinator is None and not args.distributed:
        return Hosts(0, 1, output, "")
    from jaxsd.cli.score_networks import process

    number, count, run = process()
    return Hosts(number, count, output, f"{run:08x}")


def networks_of(args: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """What `survey` is told of networks, and the hash of Inception's weights.

    Plain facts need neither, nor JAX.
    """
    if not (args.inception or args.clip):
        return {}, ""
    from tqdm import tqdm

    from jaxsd.cli.compilation import keep_compiled
    from jaxsd.cli.score_networks import loaded
    from jaxsd.folders import cache_folder, private

    def say(text: str) -> None:
        tqdm.write(text, file=sys.stderr)

    keep_compiled(private(cache_folder()), announce=say)
    return loaded(args.inception, args.clip, args.batch_size)


def look(
    pictures: Sequence[Picture], hosts: Hosts, what: str, networks: dict[str, Any]
) -> Findings | None:
    """Looks at the share of this host, with a bar; all findings on the first host, else None."""
    from tqdm import tqdm

    share = pictures[hosts.number :: hosts.count]
    title = f"host {hosts.number}: {what}" if hosts.count > 1 else what
    with tqdm(total=len(share), unit="picture", desc=title) as bar:
        findings = survey(share, threads=os.cpu_count() or 1, seen=bar.update, **networks)
    return hosts.together(findings, what)


def write(
    output: Path, numbers: Numbers, pictures: Sequence[Picture], facts: Sequence[Fact | Unreadable]
) -> None:
    """Writes score.json and contact_sheet.png, and prints the table."""
    output.mkdir(parents=True, exist_ok=True)
    text = json.dumps(numbers, indent=2, ensure_ascii=False) + "\n"
    (output / "score.json").write_text(text, encoding="utf-8")
    both = zip(pictures, facts, strict=True)
    good = [picture for picture, fact in both if isinstance(fact, Fact)]
    if good:
        chosen = good[:: -(-len(good) // SHEET)]
        sheet = np.stack([thumbnail(read_picture(picture)[0], SIDE) for picture in chosen])
        write_png(output / "contact_sheet.png", contact_sheet(sheet))
    print(*table(numbers), sep="\n")
    print(output / "score.json", file=sys.stderr)
