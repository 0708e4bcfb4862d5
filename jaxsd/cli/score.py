"""`jaxsd score FOLDER`: how good pictures are, in numbers."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxsd.cli.hosts import WEEK, add_hosts, join_hosts
from jaxsd.cli.progress import keep_programs, say
from jaxsd.score.findings import Findings, Hosts
from jaxsd.score.pictures import Picture
from jaxsd.score.report import table
from jaxsd.score.scoring import Asked, numbers_of, reference_of, some_pictures, write
from jaxsd.score.survey import survey
from jaxsd.writing import check_place


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
    """Surveys the pictures and the reference, and writes the results."""
    asked = Asked(*(getattr(args, name) for name in Asked._fields))
    asked.check()
    pictures = some_pictures(args.folder)
    reference, others = reference_of(args.reference)
    place = Path(args.folder).resolve()
    output = Path(args.output or place.with_name(f"{place.name}-score"))
    check_place(output)
    hosts = hosts_of(args, output)
    networks, weights = networks_of(asked)
    findings = look(pictures, hosts, "pictures", networks)
    if others:
        reference = look(others, hosts, "reference", networks | {"clip": None})
    if findings is None:  # only the first host has them all
        return
    numbers = numbers_of(asked, findings, reference, weights)
    write(output, numbers, pictures, findings.facts)
    print(*table(numbers), sep="\n")
    if asked.save_statistics:
        say(asked.save_statistics)
    say(str(output / "score.json"))
    if not (args.inception or args.clip):
        print("for FID and KID give --inception and --reference, for CLIP scores --clip; see -h")


def hosts_of(args: argparse.Namespace, output: Path) -> Hosts:
    """The hosts that work together: one, unless the arguments name more."""
    join_hosts(args, patience=WEEK)
    if args.coordinator is None and not args.distributed:
        return Hosts(0, 1, output, "")
    from jaxsd.score.devices import hosts_together

    return hosts_together(output)


def networks_of(asked: Asked) -> tuple[dict[str, Any], str]:
    """The networks as arguments of `survey`, and the hash of Inception's weights.

    Plain facts need neither networks nor JAX.
    """
    if not (asked.inception or asked.clip):
        return {}, ""
    from jaxsd.score.devices import loaded

    keep_programs()
    return loaded(asked.inception, asked.clip, asked.batch_size, say)


def look(
    pictures: Sequence[Picture], hosts: Hosts, what: str, networks: dict[str, Any]
) -> Findings | None:
    """Surveys this host's share, with a bar; returns all findings on the first host, else None."""
    from tqdm import tqdm

    share = pictures[hosts.number :: hosts.count]
    title = f"host {hosts.number}: {what}" if hosts.count > 1 else what
    with tqdm(total=len(share), unit="picture", desc=title) as bar:
        findings = survey(share, threads=os.cpu_count() or 1, seen=bar.update, **networks)
    return hosts.together(findings, what)
