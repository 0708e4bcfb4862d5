"""Build the built-in model's captioned pictures from emoji packages.

    python tools/build_emoji_dataset.py --out=DATASET

DATASET/train, heldout and gallery follow the Hub's image-folder convention: PNG files and one
metadata.jsonl. DATASET/tokenizer is the vocabulary that the captions need. DATASET/dataset.json
says what was put in and under which licences. The same arguments give the same bytes.
"""

import functools
import json
from collections import Counter
from collections.abc import Callable, Sequence
from multiprocessing import Pool
from pathlib import Path
from typing import NamedTuple

import numpy as np
from absl import app, flags
from emoji import compose, glyphs, packages, pictures
from emoji.pictures import Picture
from emoji.vocabulary import caption_tokenizer
from emoji.words import COLOURS, CONCEPTS, COUNTRIES, SHAPES, Concept
from PIL import Image

from jaxsd.text import write_tokenizer

_OUT = flags.DEFINE_string("out", None, "Folder to write.", required=True)
_PACKAGES = flags.DEFINE_string("packages", None, "Folder of npm tarballs; by default in OUT.")
_CONCEPTS = flags.DEFINE_integer("concepts", 110, "How many of the concepts, first ones first.")
_PROCESSES = flags.DEFINE_integer("processes", 2, "How many processes draw.")

THING_GROUPS = (3, 4, 5, 6, 7)
"""emojibase's groups: animals and nature, food, travel, activities, objects."""

Job = tuple[Callable[[Picture], np.ndarray], list[Picture]]


class Sources(NamedTuple):
    """What was read from the packages: SVG by label (flags: by icon name), and tags by label."""

    entries: list[glyphs.Entry]
    glyphs: dict[str, str]
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
        glyphs.read_emoji(tarballs[packages.NOTO], entries),
        glyphs.read_emoji(tarballs[packages.HIGH_CONTRAST], entries),
        glyphs.read_icons(tarballs[packages.FLAG]),
        glyphs.read_icons(tarballs[packages.CIRCLE_FLAGS]),
    )


def chosen_concepts(count: int, sources: Sources) -> list[Concept]:
    """The first `count` concepts.

    Raises:
        ValueError: there are not so many, or one lacks its drawing in a package.
    """
    if not 1 <= count <= len(CONCEPTS):
        raise ValueError(f"--concepts {count}: there are 1 to {len(CONCEPTS)} in words.CONCEPTS")
    chosen = list(CONCEPTS[:count])
    drawn = sources.glyphs.keys() & sources.silhouettes.keys()
    missing = [concept.glyph for concept in chosen if concept.glyph not in drawn]
    if missing:
        raise ValueError(f"no glyph or no silhouette in the packages for: {', '.join(missing)}")
    return chosen


def draw_concept(glyph: str, silhouette: str, picture: Picture) -> np.ndarray:
    """A picture of a concept from its two SVGs; uint8 [128, 128, 3]."""
    text = silhouette if picture.template == "silhouette" else glyph
    rgba = glyphs.rasterize(text, compose.GLYPH_SIZE)
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
    if "round" not in picture.object:
        rgba = compose.edged(rgba)
    return compose.on_background(rgba, picture.background)


def list_jobs(concepts: list[Concept], sources: Sources) -> list[Job]:
    """(drawing function, pictures) of the whole of train and heldout."""
    jobs: list[Job] = []
    for concept in concepts:
        texts = sources.glyphs[concept.glyph], sources.silhouettes[concept.glyph]
        listed = pictures.of_concept(concept, sources.tags[concept.glyph])
        jobs.append((functools.partial(draw_concept, *texts), listed))
    jobs.append((draw_shape, pictures.of_shapes()))
    for code, picture in pictures.of_flags():
        square = "round" not in picture.object
        text = sources.flags[f"{code}-4x3"] if square else sources.round_flags[code]
        jobs.append((functools.partial(draw_flag, text), [picture]))
    return jobs


def gallery_jobs(sources: Sources) -> list[Job]:
    """Every glyph of the style, plain on white: what a drawing can be mistaken for."""
    return [
        (
            functools.partial(draw_concept, text, ""),
            [Picture("gallery", "plain", label, "white", None, (label,))],
        )
        for label, text in sources.glyphs.items()
    ]


def save_pictures(out: Path, job: Job) -> list[tuple[str, dict]]:
    """Draw a job's pictures into their folders; returns (split, metadata line) of each."""
    draw, listed = job
    for picture in listed:
        Image.fromarray(draw(picture)).save(out / picture.split / picture.file_name)
    return [(picture.split, picture.metadata()) for picture in listed]


def save_all(out: Path, jobs: list[Job], processes: int) -> dict[str, list[dict]]:
    """Draw all jobs and write each split's metadata.jsonl; returns the lines by split."""
    lines: dict[str, list[dict]] = {split: [] for split in ("train", "heldout", "gallery")}
    for split in lines:
        (out / split).mkdir(parents=True, exist_ok=True)
    with Pool(processes) as pool:
        for saved in pool.imap(functools.partial(save_pictures, out), jobs, chunksize=4):
            for split, line in saved:
                lines[split].append(line)
    for split, rows in lines.items():
        names = Counter(row["file_name"] for row in rows)
        assert max(names.values(), default=1) == 1, names.most_common(3)
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (out / split / "metadata.jsonl").write_text(text, encoding="utf-8")
    return lines


def vocabulary_texts(lines: dict[str, list[dict]], sources: Sources) -> list[str]:
    """Every caption, and emojibase's words for the data sets to come.

    All labels, but the tags of things only: those of faces, people, symbols and flags would add
    1,300 ids, 0.35 MB of half-precision embedding 128 wide, for words that few people type.
    """
    rows = [row for split in lines.values() for row in split]
    texts = [text for row in rows for text in [row["text"], *row["texts"]]]
    for entry in sources.entries:
        texts += [entry.label, *(entry.tags if entry.group in THING_GROUPS else ())]
    return texts


def describe(lines: dict[str, list[dict]], concepts: list[Concept], vocabulary: int) -> dict:
    """What dataset.json says."""
    return {
        "style": pictures.STYLE,
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


def main(argv: Sequence[str]) -> None:
    """Builds the data set that the flags ask for."""
    if len(argv) > 1:
        raise app.UsageError(f"unexpected argument {argv[1]!r}; the folder is given with --out")
    out = Path(_OUT.value)
    sources = read_sources(Path(_PACKAGES.value or out / "packages"))
    concepts = chosen_concepts(_CONCEPTS.value, sources)
    lines = save_all(out, list_jobs(concepts, sources) + gallery_jobs(sources), _PROCESSES.value)
    tokenizer = caption_tokenizer(vocabulary_texts(lines, sources))
    write_tokenizer(out / "tokenizer", tokenizer)
    summary = describe(lines, concepts, len(tokenizer.vocabulary.ids))
    (out / "dataset.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    print(f"{out}: {summary['pictures']}, {summary['vocabulary']} token ids")


if __name__ == "__main__":
    app.run(main)
