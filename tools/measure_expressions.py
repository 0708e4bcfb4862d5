"""How often a drawn face changes to the asked expression, and what of it stays.

    python tools/measure_expressions.py --packages=FOLDER --pairs=40

Draws the first and the last frame of what `jaxsd animate` makes of faces of the built-in model's
three styles on four backgrounds. FOLDER has the npm tarballs of tools/build_emoji_dataset.py, which
are fetched if they are not there.
"""

import argparse
import random
import sys
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from absl import app
from absl.flags import argparse_flags
from emoji import glyphs, packages
from emoji.compose import GLYPH_SIZE, SIZE, on_background
from emoji.concepts import concepts
from emoji.metrics import Gallery, has_colours, psnr
from emoji.words import STYLES
from PIL import Image

import jaxsd
from jaxsd.executables import Executables
from jaxsd.folders import writable_cache
from jaxsd.settings import Settings
from jaxsd.video.expressions import SUITS

FACES = {
    "slightly smiling face": "smiling",
    "grinning face": "grinning",
    "face with tears of joy": "laughing",
    "winking face": "winking",
    "crying face": "crying",
    "angry face": "angry",
    "thinking face": "thinking",
    "sleeping face": "sleeping",
}
"""Glyphs and the words of their captions."""
BACKGROUNDS = ("white", "light blue", "green", "pink")
KNOWN = 300
"""Glyphs of a style that the model knows."""
EDGE = (SIZE - GLYPH_SIZE) // 2
"""Pixels at each side that no glyph reaches."""
TOGETHER = 4
"""Pictures of a call."""


class Pair(NamedTuple):
    """A face and the glyph that it becomes."""

    glyph: str
    asked: str
    style: str
    background: str

    def text(self, glyph: str) -> str:
        """The caption of a glyph in this setting."""
        return f"a {FACES[glyph]} face on a {self.background} background, {self.style} style"


class Drawer:
    """Pictures of glyphs."""

    def __init__(self, folder: Path) -> None:
        """Reads the packages in a folder."""
        entries = glyphs.read_entries(packages.fetch(packages.EMOJIBASE, folder))
        self.svg = {
            style: glyphs.read_emoji(packages.fetch(package, folder), entries)
            for style, package in packages.STYLES.items()
        }

    def picture(self, glyph: str, style: str, background: str) -> np.ndarray:
        """A glyph on a background, uint8 [128, 128, 3]."""
        return on_background(glyphs.rasterize(self.svg[style][glyph], GLYPH_SIZE), background)

    @lru_cache  # noqa: B019
    def gallery(self, style: str, background: str) -> Gallery:
        """All glyphs that the model knows, on that background."""
        known = [one.glyph for one in concepts()[:KNOWN] if one.glyph in self.svg[style]]
        return Gallery.of(known, np.stack([self.picture(g, style, background) for g in known]))


def pairs_of(count: int) -> list[Pair]:
    """The same ones each time."""
    chance = random.Random(0)
    found = []
    for _ in range(count):
        glyph, asked = chance.sample(sorted(FACES), 2)
        found.append(Pair(glyph, asked, chance.choice(STYLES), chance.choice(BACKGROUNDS)))
    return found


def frames(
    pipe: jaxsd.Pipeline, drawer: Drawer, pairs: Sequence[Pair], *, last: bool, **options: object
) -> np.ndarray:
    """The first or the last frame of each pair, uint8 [N, 128, 128, 3]."""
    drawn = []
    for first in range(0, len(pairs), TOGETHER):
        part = [*pairs[first : first + TOGETHER]]
        part += part[-1:] * (TOGETHER - len(part))
        settings = [
            Settings(
                prompt=one.text(one.asked if last else one.glyph),
                source_prompt=one.text(one.glyph),
                sampler=SUITS["sampler"],
                guidance_scale=SUITS["guidance_scale"],
                **options,
            )
            for one in part
        ]
        faces = [drawer.picture(one.glyph, one.style, one.background) for one in part]
        drawn.append(pipe.text_to_image(settings, image=faces, progress=lambda done, rows: None))
    return np.concatenate(drawn)[: len(pairs)]


def outside(faces: np.ndarray, drawn: np.ndarray) -> float:
    """How much the pixels that no glyph reaches differ, in 255ths."""
    apart = np.abs(faces.astype(np.float32) - drawn)
    apart[:, EDGE:-EDGE, EDGE:-EDGE] = np.nan
    return float(np.nanmean(apart))


def hue(faces: np.ndarray) -> np.ndarray:
    """The median colour of the middle of faces, [N, 3]."""
    side = SIZE // 4
    return np.median(faces[:, side:-side, side:-side].reshape(len(faces), -1, 3), axis=1)


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse_flags.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--packages", type=Path, required=True, help="folder of npm tarballs")
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--sheet", type=Path, help="file for a picture of all")
    return parser.parse_args(argv[1:])


def main(args: argparse.Namespace) -> None:
    """Draws, and prints a line for each pair and one for all."""
    cache = writable_cache(print)
    pipe = jaxsd.load("emoji", programs=Executables(cache and cache / "programs"))
    drawer, pairs = Drawer(args.packages), pairs_of(args.pairs)
    faces = np.stack([drawer.picture(p.glyph, p.style, p.background) for p in pairs])
    last = frames(pipe, drawer, pairs, last=True, steps=args.steps)
    ranks = []
    for pair, drawn in zip(pairs, last, strict=True):
        gallery = drawer.gallery(pair.style, pair.background)
        ranks.append(int(gallery.ranks(drawn[None], [pair.asked])[0]))
        nearest = gallery.nearest(drawn[None])[0]
        print(pair.text(pair.glyph), "->", FACES[pair.asked], "| nearest:", nearest, flush=True)
    first = frames(pipe, drawer, pairs[: 2 * TOGETHER], last=False, steps=args.steps)
    own = faces[: len(first)]
    coded = np.concatenate(
        [pipe.decode(pipe.encode(own[i : i + TOGETHER])) for i in range(0, len(own), TOGETHER)]
    )
    grounds = [has_colours(one, None, p.background) for one, p in zip(last, pairs, strict=True)]
    print(f"nearest of all known glyphs is the asked one: {np.mean(np.array(ranks) == 0):.1%}")
    print(f"background of the right colour: {np.mean(grounds):.1%}")
    print(f"pixels around the glyph: {outside(faces, last):.1f} of 255 from the picture's")
    print(f"median colour of the face: {np.abs(hue(faces) - hue(last)).mean():.1f} of 255 apart")
    print(
        f"first frame: {psnr(own, first):.1f} dB from the picture, as the autoencoder's "
        f"{psnr(own, coded):.1f} dB; from that {psnr(coded, first):.1f} dB"
    )
    if args.sheet:
        rows = np.concatenate([np.concatenate([*a], axis=1) for a in (faces, last)])
        Image.fromarray(rows).save(args.sheet)


if __name__ == "__main__":
    app.run(main, argv=sys.argv, flags_parser=arguments)
