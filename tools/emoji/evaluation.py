"""How well a model draws the emoji data set, by questions whose right answers are known.

The model is a function (prompts, seeds) -> uint8 [N, 128, 128, 3], so that a trainer can pass its
own sampler. Nothing here depends on a class of models.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from emoji.captions import stable_seed
from emoji.folders import Row, read_images, read_rows
from emoji.metrics import (
    Gallery,
    background_colour,
    foreground,
    has_colours,
    has_layout,
    psnr,
    slots,
    top,
)
from emoji.words import STYLES

Generate = Callable[[list[str], list[int]], np.ndarray]
"""(N prompts, N seeds) -> uint8 [N, 128, 128, 3]."""

Reconstruct = Callable[[np.ndarray], np.ndarray]
"""uint8 [N, 128, 128, 3] through an autoencoder and back."""

FIRST_SEED = 1000
COLOURED = ("background", "silhouette", "shape")
ARRANGED = ("count", "corner", "pair")
SEEDS = 8
"""Seeds of each prompt when diversity is measured."""
STRANGE = (
    "a xylophone",
    "a wizard reading a spellbook",
    "the quantum entanglement of two photons",
    "un château sous la pluie",
    "asdf qwer zxcv",
    "a portrait of a man in a suit, oil on canvas, highly detailed, 8k",
    "猫",
    "?!",
)
"""Prompts with words that no caption has."""


class Score(NamedTuple):
    """One line of the report."""

    question: str
    pictures: int
    share: float


def gallery_of(rows: Sequence[Row]) -> Gallery:
    """A gallery of the rows' pictures, labelled with their objects."""
    return Gallery.of([row.object for row in rows], read_images(rows))


def asked(rows: Sequence[Row], count: int) -> list[Row]:
    """`count` of the rows, always the same ones, chosen by a hash of their captions."""
    return sorted(rows, key=lambda row: stable_seed("asked", row.text))[:count]


def drawn(generate: Generate, prompts: Sequence[str]) -> np.ndarray:
    """The model's drawings of the prompts, number i with seed 1000 + i."""
    return generate(list(prompts), [FIRST_SEED + i for i in range(len(prompts))])


def named_style(row: Row) -> str:
    """The row's main caption, with its style added if it is missing."""
    style = f"{row.style} style"
    return row.text if row.text.endswith(style) else f"{row.text}, {style}"


def _ranked(question: str, ranks: np.ndarray) -> list[Score]:
    return [Score(f"{question}, top-{n}", len(ranks), top(ranks, n)) for n in (1, 5)]


def score_style(
    images: np.ndarray, rows: Sequence[Row], own: Gallery, whole: Gallery
) -> list[Score]:
    """Whether drawings of plain captions in one style are nearest to the right glyph of it.

    Args:
      images: [N, 128, 128, 3] uint8, the drawings of `rows`.
      rows: plain pictures of the style.
      own: gallery of the model's own concepts in the style.
      whole: gallery of every glyph of the style.
    """
    wanted, style = [row.object for row in rows], rows[0].style
    white = np.mean([has_colours(x, None, "white") for x in images])
    return [
        *_ranked(f"{style}: nearest of {len(own.labels)} own", own.ranks(images, wanted)),
        *_ranked(f"{style}: nearest of all {len(whole.labels)}", whole.ranks(images, wanted)),
        Score(f"{style}: white background", len(rows), float(white)),
    ]


def score_diversity(
    generate: Generate, rows: Sequence[Row], galleries: dict[str, Gallery]
) -> list[Score]:
    """Whether captions without a style give the right thing in eight seeds, in how many styles."""
    right, styles = [], []
    for row in rows:
        images = drawn(generate, [row.text] * SEEDS)
        likeness = [gallery.likeness(images) for gallery in galleries.values()]
        labels = [gallery.nearest(images) for gallery in galleries.values()]
        best = np.argmax([rows.max(1) for rows in likeness], axis=0)
        found = [(style, labels[style][i]) for i, style in enumerate(best)]
        right += [label == row.object for _, label in found]
        styles.append(len({style for style, label in found if label == row.object}))
    share = float(np.mean(styles)) / len(galleries)
    return [
        Score("no style named: right thing in any style", len(right), float(np.mean(right))),
        Score(f"no style named: styles seen in {SEEDS} seeds", len(rows), share),
    ]


def score_strange(images: np.ndarray) -> list[Score]:
    """Whether pictures of `STRANGE` are drawings on a plain ground and not noise or nothing."""
    grounds = [background_colour(image) is not None for image in images]
    drawn_on = [0.01 < foreground(image).mean() < 0.95 for image in images]
    sane = np.logical_and(grounds, drawn_on)
    return [Score("words never seen: a drawing on a plain ground", len(images), sane.mean())]


def rivals(row: Row, known: Sequence[Row]) -> list[Row]:
    """Pictures that differ from `row` in the object alone."""
    return [other for other in known if _setting(other) == _setting(row)]


def _setting(row: Row) -> tuple[str | None, ...]:
    return row.template, row.style, row.background, row.colour


def score_colours(
    images: np.ndarray, rows: Sequence[Row], known: Sequence[Row], name: str
) -> list[Score]:
    """Whether the colours are right, and the object is the nearest among its rivals.

    Args:
      images: [N, 128, 128, 3] uint8, the drawings of `rows`.
      rows: pictures of one template; silhouettes on white only, where every rival exists.
      known: all pictures of the data set, both splits.
      name: what the lines of the report are called.
    """
    pairs = list(zip(images, rows, strict=True))
    colours = [has_colours(image, row.colour, row.background) for image, row in pairs]
    objects = [
        int(gallery_of(rivals(row, known)).ranks(image[None], [row.object])[0])
        for image, row in pairs
    ]
    return [
        Score(f"{name}: colours", len(rows), float(np.mean(colours))),
        Score(f"{name}: object, top-1", len(rows), top(np.array(objects), 1)),
    ]


def score_layouts(
    images: np.ndarray, rows: Sequence[Row], galleries: dict[str, Gallery], name: str
) -> list[Score]:
    """Whether small drawings are where they should be, and each of them nearest to its glyph."""
    pairs = list(zip(images, rows, strict=True))
    layouts = [has_layout(image, row.layout) for image, row in pairs]
    objects = []
    for image, row in pairs:
        small = slots(image, row.layout)
        wanted = [row.object, row.other] if row.other else [row.object] * len(small)
        objects.append(galleries[row.style].nearest(small) == wanted)
    return [
        Score(f"{name}: layout", len(rows), float(np.mean(layouts))),
        Score(f"{name}: every object, top-1", len(rows), float(np.mean(objects))),
    ]


def score_flags(
    images: np.ndarray, rows: Sequence[Row], known: Sequence[Row], name: str
) -> list[Score]:
    """Whether the nearest flag of all has the right layout, and is of the right country."""
    flags = [row for row in known if row.template == "flag"]
    gallery = Gallery.of([f"{row.layout} {row.object}" for row in flags], read_images(flags))
    nearest = gallery.nearest(images)
    layouts = [n.startswith(row.layout) for n, row in zip(nearest, rows, strict=True)]
    right = [n == f"{row.layout} {row.object}" for n, row in zip(nearest, rows, strict=True)]
    return [
        Score(f"{name}: layout", len(rows), float(np.mean(layouts))),
        Score(f"{name}: flag, top-1", len(rows), float(np.mean(right))),
    ]


def composed_questions(rows: Sequence[Row], template: str, count: int) -> list[Row]:
    """Rows of one template; only backgrounds in the first style and silhouettes on white.

    All of their rivals exist.
    """
    fitting = [row for row in rows if row.template == template]
    if template == "background":
        fitting = [r for r in fitting if r.background != "white" and r.style == STYLES[0]]
    if template == "silhouette":
        fitting = [row for row in fitting if row.background == "white"]
    return asked(fitting, count)


def evaluate(generate: Generate, dataset: Path, *, concepts: int, composed: int) -> list[Score]:
    """Asks the model for pictures and scores them.

    Args:
      generate: the model.
      dataset: folder that tools/build_emoji_dataset.py wrote.
      concepts: plain captions of each style, at most.
      composed: captions of each other template per split, at most.

    Returns:
      The lines of the report, shares in [0, 1].
    """
    train, held = read_rows(dataset / "train"), read_rows(dataset / "heldout")
    gallery = read_rows(dataset / "gallery")
    known, scores, own = train + held, [], {}
    for style in STYLES:
        plain = [row for row in train if row.template == "plain" and row.style == style]
        own[style] = gallery_of(plain)
        whole = gallery_of([row for row in gallery if row.style == style])
        questions = asked(plain, concepts)
        images = drawn(generate, [named_style(row) for row in questions])
        scores += score_style(images, questions, own[style], whole)
    unstyled = [row for row in train if row.template == "plain" and row.style == STYLES[0]]
    scores += score_diversity(generate, asked(unstyled, composed), own)
    scores += score_strange(drawn(generate, STRANGE))
    for split, rows in (("trained", train), ("held out", held)):
        for template in (*COLOURED, *ARRANGED, "flag"):
            questions = composed_questions(rows, template, composed)
            if not questions:
                continue
            images = drawn(generate, [row.text for row in questions])
            name = f"{template}, {split}"
            if template in ARRANGED:
                scores += score_layouts(images, questions, own, name)
            else:
                score = score_flags if template == "flag" else score_colours
                scores += score(images, questions, known, name)
    return scores


def autoencoder_psnr(reconstruct: Reconstruct, dataset: Path, count: int) -> dict[str, float]:
    """Mean PSNR in dB on held-out pictures, and on glyphs of concepts never trained on."""
    own = {row.object for row in read_rows(dataset / "train")}
    others = [row for row in read_rows(dataset / "gallery") if row.object not in own]
    held = read_images(asked(read_rows(dataset / "heldout"), count))
    strange = read_images(asked(others, count))
    return {
        "held-out pictures": psnr(held, reconstruct(held)),
        "glyphs of other concepts": psnr(strange, reconstruct(strange)),
    }
