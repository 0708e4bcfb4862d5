"""Borders of windows are not seen: with the built-in model, on pictures of three windows."""

import numpy as np
import pytest

import jaxsd
from jaxsd.sampling.features.windows import Windows

pytestmark = pytest.mark.release

PROMPTS = [
    "a red apple on a blue background",
    "a cat face on a green background",
    "a house on a yellow background",
    "a rocket on a purple background",
]
SIZE, WIDTH = 16, 32
"""Of windows and of the picture, in latents."""
REACH = 12
"""Pixels on both sides of a border that it is compared with."""


def of_equal_weight(grid: Windows) -> Windows:
    count = np.zeros(WIDTH)
    for first in grid.corners[0, :, 1]:
        count[first : first + SIZE] += 1
    along = [1 / count[first : first + SIZE] for first in grid.corners[0, :, 1]]
    return grid._replace(along=np.float32([along] * len(grid.corners)))


def seam(pictures: np.ndarray, borders: list[int]) -> float:
    """The step across borders, over that between pixels beside them; 1 where no border is seen."""
    steps = np.abs(np.diff(pictures.astype(float), axis=2)).mean(axis=(0, 1, 3))
    beside = [one + i for one in borders for i in range(-REACH, REACH + 1) if i]
    return steps[borders].mean() / steps[beside].mean()


def test_borders_are_no_steps(capsys: pytest.CaptureFixture) -> None:
    pipe, found = jaxsd.load("emoji"), {}
    for over, weights in ((0, ["equal"]), (64, ["blended", "equal"])):
        told = {"height": 128, "width": 256, "steps": 12, "guidance_scale": 4.0, "seed": 3}
        order = pipe.order(PROMPTS, windows=(128, over), **told)
        grid = order.given.features["windows"]
        first = grid.corners[0, :, 1]
        borders = [8 * one - 1 for one in {*first, *(first + SIZE)} - {0, WIDTH}]
        for name in weights:
            own = grid if name == "blended" else of_equal_weight(grid)
            given = order.given._replace(features={"windows": own})
            drawing = pipe.drawn(order._replace(given=given))
            found[over, name] = seam(pipe.pictures(drawing, order), borders)
    with capsys.disabled():
        print({key: f"{value:.2f}" for key, value in found.items()})
    assert found[64, "blended"] < 1 < found[64, "equal"] < found[0, "equal"]
