"""How much moving pictures flicker: what is left between neighbours without their motion.

    jaxsd video ... -o frames
    python tools/measure_flicker.py frames other_frames

A line for each folder of frames that `jaxsd video -o FOLDER` wrote. Motion is Farneback's optical
flow (OpenCV, in the extra [parity]).
"""

import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from absl import app

from jaxsd.images import read_image

FLOW = {
    "pyr_scale": 0.5,
    "levels": 3,
    "winsize": 15,
    "iterations": 3,
    "poly_n": 5,
    "poly_sigma": 1.2,
    "flags": 0,
}
"""Numbers of Farneback's method; those of OpenCV's own example."""


def warped_difference(one: np.ndarray, other: np.ndarray) -> float:
    """Mean difference of two pictures, uint8 [H, W, 3], in 255ths, the first moved to the second.

    A pixel of the second is compared with the place in the first that it came from (Lai et al.
    2018, "Learning Blind Video Temporal Consistency", equation 8, but absolute values, and
    everywhere).
    """
    import cv2

    grey = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (other, one)]
    flow = cv2.calcOpticalFlowFarneback(*grey, None, **FLOW)
    rows, columns = np.mgrid[: one.shape[0], : one.shape[1]].astype(np.float32)
    where = columns + flow[..., 0], rows + flow[..., 1]
    moved = cv2.remap(one, *where, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return difference(moved, other)


def difference(one: np.ndarray, other: np.ndarray) -> float:
    """Mean difference of two pictures, uint8 [H, W, 3], in 255ths."""
    return float(np.abs(one.astype(np.float32) - other).mean())


def edges(image: np.ndarray) -> float:
    """Mean difference of neighbouring pixels, in 255ths: less where a picture is blurred."""
    return float(
        np.mean([np.abs(np.diff(image.astype(np.float32), axis=i)).mean() for i in (0, 1)])
    )


def frames_in(folder: Path) -> list[np.ndarray]:
    """The frames that a folder has.

    Raises:
      ValueError: it has fewer than two.
    """
    frames = [read_image(path) for path in sorted(folder.glob("[0-9]*.png"))]
    if len(frames) < 2:
        raise ValueError(f"{folder} has {len(frames)} frames; give a folder of two or more")
    return frames


def main(argv: Sequence[str]) -> None:
    """Prints a line for each folder."""
    print("| frames | neighbours differ by | behind their motion | edges |")
    print("| --- | --- | --- | --- |")
    for place in argv[1:]:
        frames = frames_in(Path(place))
        pairs = list(pairwise(frames))
        plain, warped = (
            np.mean([apart(*pair) for pair in pairs]) for apart in (difference, warped_difference)
        )
        sharp = np.mean([edges(frame) for frame in frames])
        print(f"| {place} | {plain:.2f} | {warped:.2f} | {sharp:.2f} |")


if __name__ == "__main__":
    app.run(main, argv=sys.argv)
