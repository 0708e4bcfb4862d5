"""`jaxsd cache-latents CONFIG [key=value ...] [-o FOLDER]`: encodes a run's data once."""

import argparse
from pathlib import Path

from jaxsd.cli.progress import keep_programs
from jaxsd.writing import check_place


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    parser.add_argument("config", help="the run that is to train on it; trains no text encoder")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="replace its values")
    parser.add_argument("-o", "--output", metavar="FOLDER", help="default: DATA-latents")


def main(args: argparse.Namespace) -> None:
    """Writes the folder, which then is the run's `data`."""
    from jaxsd.training.config import read_config

    config = read_config(args.config, args.overrides)
    place = Path(args.output or f"{Path(config.data)}-latents")
    check_place(place.parent)

    from jaxsd.training.latents import cache_latents

    keep_programs()
    index = cache_latents(config, place)
    pictures, captions = (
        sum(shard.count for shard in shards) for shards in (index.pictures, index.captions)
    )
    left_out = f", {len(index.broken)} left out" if index.broken else ""
    print(f"{place}: {pictures} pictures{left_out}, {captions} captions; train with data={place}")
