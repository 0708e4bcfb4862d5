"""Build the pictures that the adapters of the built-in model are trained on.

    python tools/build_emoji_looks.py --out=DATASET

DATASET/neon has pictures of the data set as neon signs, for the LoRA, and DATASET/teal things on a
ground, and icons, in a colour that the data set has no word for, for the embedding. Both are image
folders in the Hub's convention. The same arguments give the same bytes.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from absl import app
from absl.flags import argparse_flags
from build_emoji_dataset import chosen_concepts, list_jobs, read_sources
from emoji.folders import Job
from emoji.looks import TEAL, is_black, is_neon, neon, recoloured, with_word
from emoji.pictures import Picture
from PIL import Image


def neon_signs(jobs: Sequence[Job]) -> Iterator[tuple[Picture, np.ndarray]]:
    """Some pictures of every kind, as neon signs; their captions stay."""
    for draw, listed in jobs:
        for picture in filter(is_neon, listed):
            yield picture, neon(draw(picture))


def in_teal(jobs: Sequence[Job]) -> Iterator[tuple[Picture, np.ndarray]]:
    """Pictures with a black ground, or of a black icon, in teal."""
    for draw, listed in jobs:
        for picture in filter(is_black, listed):
            field = "background" if picture.background == "black" else "colour"
            white = draw(picture._replace(**{field: "white"}))
            captions = tuple(map(with_word, picture.captions))
            yield picture._replace(captions=captions), recoloured(draw(picture), white, TEAL)


LOOKS: dict[str, Callable[[Sequence[Job]], Iterator[tuple[Picture, np.ndarray]]]] = {
    "neon": neon_signs,
    "teal": in_teal,
}
"""Name of a folder -> what makes its pictures."""


def save(folder: Path, pictures: Iterator[tuple[Picture, np.ndarray]]) -> int:
    """Writes pictures and their metadata.jsonl; returns how many."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for picture, pixels in pictures:
        Image.fromarray(pixels).save(folder / picture.file_name)
        main, *others = picture.captions
        lines.append({"file_name": picture.file_name, "text": main, "texts": others})
    table = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    (folder / "metadata.jsonl").write_text(table, encoding="utf-8")
    return len(lines)


def build(out: Path, tarballs: Path, count: int) -> dict[str, int]:
    """Makes all folders; returns how many pictures each has."""
    sources = read_sources(tarballs)
    jobs = list_jobs(chosen_concepts(count, sources), sources)
    return {name: save(out / name, look(jobs)) for name, look in LOOKS.items()}


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse_flags.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder to write into")
    parser.add_argument("--packages", type=Path, help="folder of npm tarballs; by default in OUT")
    parser.add_argument("--concepts", type=int, default=300, help="how many, first ones first")
    return parser.parse_args(argv[1:])


def main(args: argparse.Namespace) -> None:
    """Builds what the command line asks for; a wrong one gives one line and exit code 2."""
    try:
        counts = build(args.out, args.packages or args.out / "packages", args.concepts)
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    print(f"{args.out}: {counts}")


if __name__ == "__main__":
    app.run(main, flags_parser=arguments)
