"""How a drawing is judged without a second network: nearest glyph, and colours of pixels.

Pictures are uint8 [N, 128, 128, 3] sRGB, one picture [128, 128, 3].
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy import ndimage

from emoji.compose import GLYPH_SIZE, SIZE, SLOT_SIZE, SLOTS
from emoji.words import COLOURS, COUNTS
from jaxsd.hints import canny

CELLS = 32
BLUR = 0.7
FRAME = 3
"""Width in pixels of the frame whose median is the background's colour; glyphs keep 6 clear."""
FRAME_SHARE = 0.8
COLOUR_TOLERANCE = 60.0
"""Largest distance of a colour to its table entry; the nearest two entries are 78 apart."""
FOREGROUND_CONTRAST = 60
"""Sum over channels by which a pixel of a silhouette or shape differs from the background."""
LEAST_FOREGROUND = 30
LEAST_SLOT_SHARE = 0.03
"""Least share of a slot's pixels that must be drawn on."""
SLOTS_SHARE = 0.9
"""Least share of the drawn pixels that must lie in the slots."""
LIKENESS = 0.6
"""Least correlation between any two drawings that must be alike."""

EDGE_TOLERANCE = 1.5
"""Pixels between an edge and its hint, at most: one in any direction, diagonals included."""


def features(images: np.ndarray) -> np.ndarray:
    """What nearest-glyph search compares: [N, 3072] float32 rows, zero mean, unit length.

    32 x 32 area averages, blurred by 0.7 cells, so that softness and a shift of a few pixels
    matter little; a product of two rows is their normalised cross-correlation. A picture of one
    colour has a row of zeros.
    """
    cell = images.shape[1] // CELLS
    x = images.astype(np.float32).reshape(len(images), CELLS, cell, CELLS, cell, 3).mean((2, 4))
    x = ndimage.gaussian_filter(x, (0, BLUR, BLUR, 0)).reshape(len(images), -1)
    x -= x.mean(1, keepdims=True)
    length = np.linalg.norm(x, axis=1, keepdims=True)
    return np.divide(x, length, out=np.zeros_like(x), where=length > 1)


class Gallery(NamedTuple):
    """Labelled pictures that drawings are compared with."""

    labels: list[str]
    features: np.ndarray  # [N, 3072]

    @classmethod
    def of(cls, labels: Sequence[str], images: np.ndarray) -> "Gallery":
        """The gallery of these pictures, uint8 [N, 128, 128, 3], each with its label."""
        return cls(list(labels), features(images))

    def ranks(self, images: np.ndarray, wanted: Sequence[str]) -> np.ndarray:
        """How many of the gallery are as near to each image as the wanted one, or nearer; [N] int.

        0 is the best. The wanted one itself does not count; ties count against it, so that an
        empty picture, which is equally near to all, comes last.
        """
        likeness = self.likeness(images)
        own = likeness[np.arange(len(wanted)), [self.labels.index(label) for label in wanted]]
        return (likeness >= own[:, None]).sum(1) - 1

    def nearest(self, images: np.ndarray) -> list[str]:
        """The label that is nearest to each image."""
        return [self.labels[i] for i in self.likeness(images).argmax(1)]

    def likeness(self, images: np.ndarray) -> np.ndarray:
        """Normalised cross-correlation of each image with each of the gallery, [M, N]."""
        return features(images) @ self.features.T


def top(ranks: np.ndarray, count: int) -> float:
    """Share of ranks among the first `count`, [0, 1]."""
    return float((ranks < count).mean())


def colour_name(rgb: np.ndarray) -> str | None:
    """Name of the table's colour nearest to an sRGB triple; None if none is near enough."""
    names = list(COLOURS)
    distances = np.linalg.norm(np.array(list(COLOURS.values())) - rgb, axis=1)
    best = int(distances.argmin())
    return names[best] if distances[best] < COLOUR_TOLERANCE else None


def _frame(image: np.ndarray) -> np.ndarray:
    """The picture's outermost pixels, [M, 3]."""
    outside = np.ones(image.shape[:2], bool)
    outside[FRAME:-FRAME, FRAME:-FRAME] = False
    return image[outside]


def background_colour(image: np.ndarray) -> str | None:
    """Name of the background's colour; None where the frame is not of one of the table's colours.

    Most of the frame has to be that colour: the median of noise is gray.
    """
    frame = _frame(image)
    name = colour_name(np.median(frame, axis=0))
    if name is None:
        return None
    distances = np.linalg.norm(frame - np.array(COLOURS[name], np.float32), axis=1)
    return name if (distances < COLOUR_TOLERANCE).mean() >= FRAME_SHARE else None


def foreground(image: np.ndarray) -> np.ndarray:
    """Pixels that differ from the background, [128, 128] bool."""
    difference = np.abs(image.astype(np.float32) - np.median(_frame(image), axis=0))
    return difference.sum(-1) > FOREGROUND_CONTRAST


def drawn_colour(image: np.ndarray) -> str | None:
    """Name of the one colour that a silhouette or shape has; None where nothing is drawn.

    The median over the inside, without the blurred rim where two colours mix; over everything
    where the lines are too thin to have an inside.
    """
    drawn = foreground(image)
    inside = ndimage.binary_erosion(drawn, iterations=2)
    chosen = inside if inside.sum() > LEAST_FOREGROUND else drawn
    if chosen.sum() <= LEAST_FOREGROUND:
        return None
    return colour_name(np.median(image[chosen], axis=0))


def has_colours(image: np.ndarray, colour: str | None, background: str) -> bool:
    """Whether background and, if one is given, the drawing's single colour are right."""
    right = background_colour(image) == background
    return right if colour is None else right and drawn_colour(image) == colour


def slots(image: np.ndarray, layout: str) -> np.ndarray:
    """The small drawings of a layout, each as a picture of its own: [N, 128, 128, 3] uint8."""
    found = []
    for top, left in SLOTS[layout]:
        cut = Image.fromarray(image[top : top + SLOT_SIZE, left : left + SLOT_SIZE])
        large = Image.new("RGB", (SIZE, SIZE), "white")
        edge = (SIZE - GLYPH_SIZE) // 2
        large.paste(cut.resize((GLYPH_SIZE, GLYPH_SIZE), Image.Resampling.BICUBIC), (edge, edge))
        found.append(np.asarray(large))
    return np.stack(found)


def has_layout(image: np.ndarray, layout: str) -> bool:
    """Whether the slots of a layout, and hardly anything else, are drawn on.

    If a layout repeats one thing, its slots must also be alike: one large drawing covers them too.
    """
    drawn = foreground(image)
    inside = [
        drawn[top : top + SLOT_SIZE, left : left + SLOT_SIZE].sum() for top, left in SLOTS[layout]
    ]
    if min(inside) < LEAST_SLOT_SHARE * SLOT_SIZE**2 or sum(inside) < SLOTS_SHARE * drawn.sum():
        return False
    rows = features(slots(image, layout))
    return layout not in COUNTS or float((rows @ rows.T).min()) > LIKENESS


def edge_agreement(image: np.ndarray, hint: np.ndarray) -> float:
    """How well a drawing's edges are those of a hint: F1 of edge pixels, [0, 1].

    Precision is the share of the drawing's edges (`canny`) that are near one of the hint, recall
    the share of the hint's that are near one of the drawing. It is 1 if neither has edges, and 0 if
    only one has.

    Args:
      image: [H, W, 3] uint8.
      hint: [H, W, 3] uint8, 0 where there is no edge.
    """
    drawn, wanted = canny(image).any(-1), hint.any(-1)
    if not (drawn.any() and wanted.any()):
        return float(drawn.any() == wanted.any())
    precision = (ndimage.distance_transform_edt(~wanted)[drawn] <= EDGE_TOLERANCE).mean()
    recall = (ndimage.distance_transform_edt(~drawn)[wanted] <= EDGE_TOLERANCE).mean()
    return float(2 * precision * recall / max(precision + recall, 1e-9))


def psnr(images: np.ndarray, others: np.ndarray) -> float:
    """Mean over pictures of the peak signal-to-noise ratio in dB."""
    error = (images.astype(np.float64) - others.astype(np.float64)) ** 2
    return float(np.mean(10 * np.log10(255**2 / np.maximum(error.mean((1, 2, 3)), 1e-10))))
