"""Pictures by what they look like: which are nearly the same, and all of them on one sheet."""

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jaxsd.images import fitted
from jaxsd.score.pictures import Picture, read_picture

if TYPE_CHECKING:  # it imports jax
    from jaxsd.score.networks import Network

BATCH = 8
"""Pictures that a network is given at once."""


class Seen(NamedTuple):
    """Pictures as a network sees them.

    Attributes:
      names: [N].
      small: uint8 [N, S, S, 3], the middle of each.
      features: float32 [N, D].
    """

    names: list[str]
    small: np.ndarray
    features: np.ndarray


def seen_by(
    network: "Network",
    pictures: Sequence[Picture],
    side: int,
    *,
    skipped: Callable[[str, str], None],
    done: Callable[[int], object],
) -> Seen:
    """Shows pictures to a network.

    Args:
      network: whose results are features [B, D].
      pictures: of which those that can not be read are left out.
      side: of small pictures, in pixels.
      skipped: called with the name of a picture that is left out, and the reason.
      done: called with the number of pictures that were looked at since the last call.

    Raises:
      ValueError: none can be read.
    """

    def look(picture: Picture) -> tuple[np.ndarray, Any] | str:
        try:
            image = read_picture(picture)
        except (OSError, ValueError) as error:
            return str(error)
        return fitted(image, side, side), network.prepare(image, None)

    names, small, features = [], [], []
    with ThreadPoolExecutor() as threads:
        for first in range(0, len(pictures), BATCH):
            some = pictures[first : first + BATCH]
            inputs = []
            for picture, found in zip(some, threads.map(look, some), strict=True):
                if isinstance(found, str):
                    skipped(picture.name, found)
                    continue
                names.append(picture.name)
                small.append(found[0])
                inputs.append(found[1])
            if inputs:
                # A batch of one size, for one program.
                padded = inputs + inputs[-1:] * (BATCH - len(inputs))
                features.append(np.asarray(network.run(padded), np.float32)[: len(inputs)])
            done(len(some))
    if not names:
        raise ValueError("none of the pictures can be read")
    return Seen(names, np.stack(small), np.concatenate(features))


def same(features: np.ndarray, alike: float, block: int = 1024) -> list[list[int]]:
    """Groups of two or more rows of features [N, D] that are nearly the same.

    Each row joins the first one that it is like: the cosine between both, without what all rows
    have in common, is at least `alike`.
    """
    rest = features - features.mean(axis=0)
    rest /= np.maximum(np.linalg.norm(rest, axis=1, keepdims=True), 1e-12)
    groups: dict[int, list[int]] = {}
    for start in range(0, len(rest), block):
        cosines = rest[start : start + block] @ rest[: start + block].T
        for row, near in enumerate(cosines >= alike, start):
            first = int(near[:row].argmax()) if near[:row].any() else row
            groups.setdefault(first if first in groups else row, []).append(row)
    return [group for group in groups.values() if len(group) > 1]


def places(points: np.ndarray) -> np.ndarray:
    """Places [N] in a grid of ceil(sqrt(N)) columns, row by row, for points [N, 2].

    Columns have the points in the order of the first coordinate, and rows within a column that of
    the second one.
    """
    columns = math.ceil(math.sqrt(len(points)))
    found = np.empty(len(points), int)
    for column, some in enumerate(np.array_split(np.argsort(points[:, 0], kind="stable"), columns)):
        inside = some[np.argsort(points[some, 1], kind="stable")]
        found[inside] = np.arange(len(inside)) * columns + column
    return found
