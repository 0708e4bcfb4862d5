"""Made-up glyphs, and the data set that they make with the code that makes the real one."""

from functools import cache, partial

import numpy as np
from emoji import compose, folders, pictures
from emoji.concepts import Concept
from emoji.words import STYLES
from scipy import ndimage

NAMES = ("fern", "gate", "hat", "iron", "jug", "kite", "lamp", "mask")
GROUNDS = ("white", "blue")
STRANGERS = ("nest", "oar", "pipe", "quince")
ALL = NAMES + STRANGERS


@cache
def made_up_glyph(seed: int) -> np.ndarray:
    """A blob of smooth random colours, uint8 [112, 112, 4], a different one for each seed."""
    rng = np.random.default_rng(seed)
    fields = [ndimage.gaussian_filter(rng.normal(size=(112, 112)), 12) for _ in range(4)]
    stretched = [(f - f.min()) / (f.max() - f.min()) for f in fields]
    rgba = np.stack(stretched, -1) * 255
    rgba[..., 3] = np.where(rgba[..., 3] > 120, 255, 0)
    return rgba.astype(np.uint8)


def drawing(picture: pictures.Picture, glyphs: list[np.ndarray]) -> np.ndarray:
    """What `picture` shows, uint8 [128, 128, 3]."""
    if picture.template in ("count", "corner", "pair"):
        return compose.arranged([glyph[::2, ::2] for glyph in glyphs], picture.layout)
    glyph = glyphs[0]
    if picture.colour is not None:
        glyph = compose.tinted(glyph, picture.colour)
    return compose.on_background(glyph, picture.background)


def draw_made_up(picture: pictures.Picture) -> np.ndarray:
    """A picture of one or two of the names; each style has glyphs of its own."""
    things = [name for name in (picture.object, picture.other) if name is not None]
    seeds = [100 * sorted({*STYLES, "icon"}).index(picture.style) + ALL.index(t) for t in things]
    return drawing(picture, [made_up_glyph(seed) for seed in seeds])


def draw_shape(picture: pictures.Picture) -> np.ndarray:
    """A geometric shape."""
    return drawing(picture, [compose.shape(picture.object)])


def draw_flag(code: str, picture: pictures.Picture) -> np.ndarray:
    """Stripes in three made-up colours, in a rectangle or a disc."""
    rgba = np.zeros((116, 116, 4), np.uint8)
    rgba[..., :3] = (
        np.random.default_rng(list(code.encode()))
        .integers(0, 256, (3, 3))
        .repeat([39, 39, 38], axis=0)[:, None]
    )
    rows, columns = np.mgrid[-57.5:58, -57.5:58]
    inside = abs(rows) < 43 if picture.layout == "rectangular" else rows**2 + columns**2 < 58**2
    rgba[..., 3] = np.where(inside, 255, 0)
    return drawing(picture, [rgba])


def made_up_jobs() -> list[folders.Job]:
    """What is drawn: eight concepts, shapes on two grounds, flags, and glyphs for the gallery."""
    shapes = [picture for picture in pictures.of_shapes() if picture.background in GROUNDS]
    flags = pictures.of_flags()
    concepts = [Concept(name, name, (f"a {name}", f"the {name}")) for name in NAMES]
    jobs: list[folders.Job] = [(draw_shape, shapes)]
    jobs += [(partial(draw_flag, code), [picture]) for code, picture in flags]
    for concept in concepts:
        listed = pictures.of_concept(concept, ("thing", "object"))
        jobs.append((draw_made_up, listed + list(pictures.pairs_of(concept, concepts))))
    for style in STYLES:
        listed = [pictures.Picture("gallery", "plain", n, style, captions=(n,)) for n in ALL]
        jobs.append((draw_made_up, listed))
    return jobs
