"""Made-up glyphs, and the data set that they make with the code that makes the real one."""

from functools import partial

import numpy as np
from emoji import compose, folders, pictures
from emoji.words import Concept
from scipy import ndimage

NAMES = ("fern", "gate", "hat", "iron", "jug", "kite", "lamp", "mask")
GROUNDS = ("white", "blue")
STRANGERS = ("nest", "oar", "pipe", "quill")


def made_up_glyph(seed: int) -> np.ndarray:
    """A blob of smooth random colours, uint8 [112, 112, 4], a different one for each seed."""
    rng = np.random.default_rng(seed)
    fields = [ndimage.gaussian_filter(rng.normal(size=(112, 112)), 12) for _ in range(4)]
    stretched = [(f - f.min()) / (f.max() - f.min()) for f in fields]
    rgba = np.stack(stretched, -1) * 255
    rgba[..., 3] = np.where(rgba[..., 3] > 120, 255, 0)
    return rgba.astype(np.uint8)


def drawing(picture: pictures.Picture, glyph: np.ndarray) -> np.ndarray:
    """What `picture` shows, uint8 [128, 128, 3]."""
    if picture.colour is not None:
        glyph = compose.tinted(glyph, picture.colour)
    return compose.on_background(glyph, picture.background)


def made_up_jobs() -> list[folders.Job]:
    """What is drawn: eight concepts, shapes on two grounds, and twelve glyphs for the gallery."""
    shapes = [picture for picture in pictures.of_shapes() if picture.background in GROUNDS]
    jobs: list[folders.Job] = [
        (lambda picture: drawing(picture, compose.shape(picture.object)), shapes)
    ]
    for seed, name in enumerate(NAMES + STRANGERS):
        listed = [pictures.Picture("gallery", "plain", name, "white", None, (name,))]
        if name in NAMES:
            concept = Concept(name, name, (f"a {name}", f"the {name}"))
            listed += pictures.of_concept(concept, ("thing", "object"))
        jobs.append((partial(drawing, glyph=made_up_glyph(seed)), listed))
    return jobs
