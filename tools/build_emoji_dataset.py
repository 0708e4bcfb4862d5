"""Build the built-in model's captioned pictures from emoji packages.

    python tools/build_emoji_dataset.py --out=DATASET

DATASET/train, heldout and gallery follow the Hub's image-folder convention: PNG files and one
metadata.jsonl. DATASET/tokenizer is the vocabulary that the captions need. DATASET/dataset.json
says what was put in and under which licences. The same arguments give the same bytes.
"""

import argparse
import functools
import itertools
import json
import sys
from collections import Counter
from collections.abc import Sequence
from multiprocessing import Pool
from pathlib import Path
from typing import NamedTuple

import numpy as np
from absl import app
from absl.flags import argparse_flags
from emoji import compose, glyphs, packages, pictures
from emoji.concepts import Concept, concepts
from emoji.folders import SPLITS, Job, Lines, save_metadata, save_pictures
from emoji.pictures import Picture
from emoji.vocabulary import caption_tokenizer
from emoji.words import COLOURS, COUNTRIES, SHAPES, STYLES

from jaxsd.text import write_tokenizer

THING_GROUPS = (3, 4, 5, 6, 7)
"""emojibase's groups: animals and nature, food, travel, activities, objects."""


class Sources(NamedTuple):
    """What was read from the packages: SVG by label (flags: by icon name), and tags by label."""

    entries: list[glyphs.Entry]
    glyphs: dict[str, dict[str, str]]  # style -> label -> SVG
    silhouettes: dict[str, str]
    flags: dict[str, str]
    round_flags: dict[str, str]

    @property
    def tags(self) -> dict[str, tuple[str, ...]]:
        """Search words of every emoji by its label."""
        return {entry.label: entry.tags for entry in self.entries}


def read_sources(folder: Path) -> Sources:
    """Everything that is drawn, from the npm tarballs in `folder`, fetching those missing."""
    tarballs = {package: packages.fetch(package, folder) for package in packages.PACKAGES}
    entries = glyphs.read_entries(tarballs[packages.EMOJIBASE])
    return Sources(
        entries,
        {style: glyphs.read_emoji(tarballs[packages.STYLES[style]], entries) for style in STYLES},
        glyphs.read_emoji(tarballs[packages.HIGH_CONTRAST], entries),
        glyphs.read_icons(tarballs[packages.FLAG]),
        glyphs.read_icons(tarballs[packages.CIRCLE_FLAGS]),
    )


def chosen_concepts(count: int, sources: Sources) -> list[Concept]:
    """The first `count` concepts.

    Raises:
        ValueError: there are fewer, or one has no drawing in a package.
    """
    if not 1 <= count <= len(concepts()):
        raise ValueError(
            f"--concepts {count}: there are 1 to {len(concepts())} in emoji/concepts.py"
        )
    chosen = list(concepts()[:count])
    drawn = set.intersection(*map(set, [*sources.glyphs.values(), sources.silhouettes]))
    missing = [concept.glyph for concept in chosen if concept.glyph not in drawn]
    if missing:
        raise ValueError(f"no glyph or no silhouette in the packages for: {', '.join(missing)}")
    return chosen


def draw_glyph(texts: Sequence[str], picture: Picture) -> np.ndarray:
    """A picture of one SVG, or of one or two in the slots of a layout; uint8 [128, 128, 3]."""
    if picture.layout is not None:
        small = [glyphs.rasterize(text, compose.SLOT_SIZE) for text in texts]
        return compose.arranged(small, picture.layout)
    rgba = glyphs.rasterize(texts[0], compose.GLYPH_SIZE)
    if picture.colour is not None:
        rgba = compose.tinted(rgba, picture.colour)
    return compose.on_background(rgba, picture.background)


def draw_shape(picture: Picture) -> np.ndarray:
    """A picture of a geometric shape; uint8 [128, 128, 3]."""
    rgba = compose.tinted(compose.shape(picture.object), picture.colour)
    return compose.on_background(rgba, picture.background)


def draw_flag(text: str, picture: Picture) -> np.ndarray:
    """A picture of a flag from its SVG; uint8 [128, 128, 3]."""
    rgba = glyphs.rasterize(text, compose.FLAG_SIZE)
    if picture.layout == "rectangular":
        rgba = compose.edged(rgba)
    return compose.on_background(rgba, picture.background)


def list_jobs(concepts: list[Concept], sources: Sources) -> list[Job]:
    """(drawing function, pictures) of all of train and heldout."""
    jobs: list[Job] = []
    for concept in concepts:
        listed = pictures.of_concept(concept, sources.tags[concept.glyph])
        listed += pictures.pairs_of(concept, concepts)
        for (style, other), alike in itertools.groupby(
            sorted(listed, key=lambda p: (p.style, p.other or "")), lambda p: (p.style, p.other)
        ):
            drawn = sources.silhouettes if style == "icon" else sources.glyphs[style]
            texts = [drawn[label] for label in (concept.glyph, other) if label is not None]
            jobs.append((functools.partial(draw_glyph, texts), list(alike)))
    jobs.append((draw_shape, pictures.of_shapes()))
    for code, picture in pictures.of_flags():
        square = picture.layout == "rectangular"
        text = sources.flags[f"{code}-4x3"] if square else sources.round_flags[code]
        jobs.append((functools.partial(draw_flag, text), [picture]))
    return jobs


def gallery_jobs(sources: Sources) -> list[Job]:
    """Every glyph of every style, plain on white: what a drawing can be mistaken for."""
    return [
        (
            functools.partial(draw_glyph, [text]),
            [Picture("gallery", "plain", label, style, captions=(label,))],
        )
        for style, drawn in sources.glyphs.items()
        for label, text in drawn.items()
    ]


def save_all(out: Path, jobs: list[Job], processes: int) -> Lines:
    """Draws all jobs and writes the splits; returns the lines of their metadata."""
    for split in SPLITS:
        (out / split).mkdir(parents=True, exist_ok=True)
    with Pool(processes) as pool:
        saved = pool.imap(functools.partial(save_pictures, out), jobs, chunksize=4)
        return save_metadata(out, itertools.chain.from_iterable(saved))


def vocabulary_texts(lines: Lines, sources: Sources) -> list[str]:
    """Every caption, and emojibase's words for future data sets.

    It has all labels, but only the tags of things: tags of faces, people, symbols and flags would
    add 1,300 ids, 0.35 MB of half-precision embedding 128 wide, for words that few people type.
    """
    rows = [row for split in lines.values() for row in split]
    texts = [text for row in rows for text in [row["text"], *row["texts"]]]
    for entry in sources.entries:
        texts += [entry.label, *(entry.tags if entry.group in THING_GROUPS else ())]
    return texts


def describe(lines: Lines, concepts: list[Concept], vocabulary: int) -> dict:
    """What dataset.json says."""
    return {
        "styles": STYLES,
        "size": compose.SIZE,
        "pictures": {split: len(rows) for split, rows in lines.items()},
        "templates": {
            split: dict(Counter(row["template"] for row in rows)) for split, rows in lines.items()
        },
        "held_out_percent": pictures.HELD_OUT_PERCENT,
        "vocabulary": vocabulary,
        "colours": COLOURS,
        "shapes": SHAPES,
        "concepts": [concept._asdict() for concept in concepts],
        "countries": [country._asdict() for country in COUNTRIES],
        "packages": [package._asdict() for package in packages.PACKAGES],
    }


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse_flags.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--packages", type=Path, help="folder of npm tarballs; by default in OUT")
    parser.add_argument("--concepts", type=int, default=300, help="how many, first ones first")
    parser.add_argument("--processes", type=int, default=2, help="how many draw")
    return parser.parse_args(argv[1:])


def build(out: Path, tarballs: Path, count: int, processes: int) -> dict:
    """Makes the data set; returns what dataset.json says."""
    sources = read_sources(tarballs)
    concepts = chosen_concepts(count, sources)
    lines = save_all(out, list_jobs(concepts, sources) + gallery_jobs(sources), processes)
    tokenizer = caption_tokenizer(vocabulary_texts(lines, sources))
    write_tokenizer(out / "tokenizer", tokenizer)
    summary = describe(lines, concepts, len(tokenizer.vocabulary.ids))
    (out / "dataset.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    return summary


def main(args: argparse.Namespace) -> None:
    """Builds what the command line asks for; a wrong one gives one line and exit code 2."""
    tarballs = args.packages or args.out / "packages"
    try:
        summary = build(args.out, tarballs, args.concepts, args.processes)
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    print(f"{args.out}: {summary['pictures']}, {summary['vocabulary']} token ids")


if __name__ == "__main__":
    app.run(main, flags_parser=arguments)
