"""Simulate what `configs/train/arrays-*.toml` learn.

    python tools/build_fields.py --out=data/fields

FOLDER/NAME.npy has rows to train on, FOLDER/NAME-test.npy others. The same arguments give the same
bytes.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from absl import app
from absl.flags import argparse_flags
from fields import FIELDS

from jaxsd.writing import replacing

SPLITS = {"": 0, "-test": 1}
"""End of a name -> seed."""


def rows_of(name: str, split: str, count: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Rows [count, *shape] of a field, and what is hidden."""
    return FIELDS[name].simulate(count, np.random.default_rng(SPLITS[split]))


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The arguments."""
    parser = argparse_flags.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--train", type=int, default=20_000, help="rows of each field")
    parser.add_argument("--test", type=int, default=200)
    return parser.parse_args(argv[1:])


def main(args: argparse.Namespace) -> None:
    """Writes two files for each field."""
    args.out.mkdir(parents=True, exist_ok=True)
    for name in FIELDS:
        for split, count in zip(SPLITS, (args.train, args.test), strict=True):
            path = args.out / f"{name}{split}.npy"
            with replacing(path) as part, part.open("wb") as file:
                np.save(file, rows_of(name, split, count)[0])
            print(path)


if __name__ == "__main__":
    app.run(main, flags_parser=parse)
