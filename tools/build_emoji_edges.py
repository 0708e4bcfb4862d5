"""Build pictures with their edges, for the built-in model's ControlNet.

    python tools/build_emoji_edges.py --dataset=DATASET

DATASET is what tools/build_emoji_dataset.py wrote. DATASET/edges is an image folder in the Hub's
convention, each picture with a conditioning image. The same arguments give the same bytes.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from absl import app
from absl.flags import argparse_flags
from emoji.folders import read_rows
from emoji.poses import choice, save_with_edges, sources


def build(dataset: Path, count: int) -> Path:
    """Writes `count` pictures with edges; returns their folder."""
    rows = sources(read_rows(dataset / "train"), read_rows(dataset / "gallery"))
    folder = dataset / "edges"
    folder.mkdir(exist_ok=True)
    lines = [save_with_edges(folder, number, *choice(rows, number)) for number in range(count)]
    table = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    (folder / "metadata.jsonl").write_text(table, encoding="utf-8")
    return folder


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse_flags.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--dataset", type=Path, required=True, help="folder of the data set")
    parser.add_argument("--count", type=int, default=20000, help="how many pictures")
    return parser.parse_args(argv[1:])


def main(args: argparse.Namespace) -> None:
    """Builds what the command line asks for; a wrong one gives one line and exit code 2."""
    try:
        print(build(args.dataset, args.count))
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    app.run(main, flags_parser=arguments)
