"""How well a model draws the emoji data set, by questions whose right answers are known.

The model is a function (prompts, seeds) -> uint8 [N, 128, 128, 3], so that a trainer can ask its
own sampler. Nothing here knows what a model is.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from emoji.captions import stable_seed
from emoji.folders import Row, read_images, read_rows
from emoji.metrics import Gallery, has_colours, psnr, top

Generate = Callable[[list[str], list[int]], np.ndarray]
"""(N prompts, N seeds) -> uint8 [N, 128, 128, 3]."""

Reconstruct = Callable[[np.ndarray], np.ndarray]
"""uint8 [N, 128, 128, 3] through an autoencoder and back."""

FIRST_SEED = 1000
COMPOSED = ("background", "silhouette", "shape")


class Score(NamedTuple):
    """One line of the report."""

    question: str
    pictures: int
    share: float


def gallery_of(rows: Sequence[Row]) -> Gallery:
    """A gallery of the rows' pictures, labelled with their objects."""
    return Gallery.of([row.object for row in rows], read_images(rows))


def asked(rows: Sequence[Row], count: int) -> list[Row]:
    """`count` of the rows, always the same ones, spread by a hash of their captions."""
    return sorted(rows, key=lambda row: stable_seed("asked", row.text))[:count]


def drawn(generate: Generate, rows: Sequence[Row]) -> np.ndarray:
    """The model's drawings of the rows' captions, row i with seed 1000 + i."""
    seeds = [FIRST_SEED + i for i in range(len(rows))]
    return generate([row.text for row in rows], seeds)


def _retrieval(question: str, images: np.ndarray, rows: Sequence[Row], of: Gallery) -> list[Score]:
    ranks = of.ranks(images, [row.object for row in rows])
    size = len(of.labels)
    return [
        Score(f"{question}, nearest of {size}, top-{n}", len(rows), top(ranks, n)) for n in (1, 5)
    ]


def score_concepts(
    images: np.ndarray, rows: Sequence[Row], own: Gallery, style: Gallery
) -> list[Score]:
    """Whether drawings of plain captions are nearest to the right glyph, and their ground white.

    Args:
      images: [N, 128, 128, 3] uint8, the drawings of `rows`.
      rows: the plain pictures of the model's own concepts.
      own: gallery of these concepts.
      style: gallery of every glyph in the style.
    """
    white = np.mean([has_colours(x, None, "white") for x in images])
    return [
        *_retrieval("own concepts", images, rows, own),
        *_retrieval("all glyphs", images, rows, style),
        Score("white background", len(rows), float(white)),
    ]


def rivals(row: Row, known: Sequence[Row]) -> list[Row]:
    """Pictures that differ from `row` in the object alone."""
    alike = (row.template, row.background, row.colour)
    return [other for other in known if (other.template, other.background, other.colour) == alike]


def score_composed(
    images: np.ndarray, rows: Sequence[Row], known: Sequence[Row], name: str
) -> list[Score]:
    """Whether the colours are those asked for, and the object the nearest among its rivals.

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


def composed_questions(rows: Sequence[Row], template: str, count: int) -> list[Row]:
    """Rows of one template to ask for."""
    fitting = [row for row in rows if row.template == template]
    if template == "background":
        fitting = [row for row in fitting if row.background != "white"]
    if template == "silhouette":
        fitting = [row for row in fitting if row.background == "white"]
    return asked(fitting, count)


def evaluate(generate: Generate, dataset: Path, *, concepts: int, composed: int) -> list[Score]:
    """Asks the model for pictures and scores them.

    Args:
      generate: the model.
      dataset: folder that tools/build_emoji_dataset.py wrote.
      concepts: at most how many plain captions.
      composed: at most how many captions of each other template, per split.

    Returns:
      The lines of the report, shares in [0, 1].
    """
    train, held = read_rows(dataset / "train"), read_rows(dataset / "heldout")
    plain = [row for row in train if row.template == "plain"]
    questions = asked(plain, concepts)
    own, style = gallery_of(plain), gallery_of(read_rows(dataset / "gallery"))
    scores = score_concepts(drawn(generate, questions), questions, own, style)
    for split, rows in (("trained", train), ("held out", held)):
        for template in COMPOSED:
            questions = composed_questions(rows, template, composed)
            if questions:
                images = drawn(generate, questions)
                name = f"{template}, {split} pairs"
                scores += score_composed(images, questions, train + held, name)
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
