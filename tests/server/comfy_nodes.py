"""Classes of nodes without networks, for graphs that a server runs."""

import threading
from typing import Annotated

import numpy as np

from jaxsd.config import ModelSpec
from jaxsd.families import EMOJI
from jaxsd.workflow.nodes import save_image
from jaxsd.workflow.schema import Kind, Range, node
from jaxsd.workflow.values import IMAGE

GREY = Annotated[int, Kind("GREY")]
GATE = threading.Event()
"""A graph waits until it is set."""
SPEC: ModelSpec = EMOJI


def enter() -> None:
    """Enters the classes."""

    @node("Grey", "GREY")
    def grey(*, value: Annotated[int, Range(0, 255)] = 1) -> int:
        return value

    @node("Paint", "IMAGE")
    def paint(place, *, grey: GREY, rows: int = 2) -> np.ndarray:
        for row in range(rows):
            place.progress(row + 1, rows)
            place.shows(SPEC, np.zeros((1, 8, 8, 4), np.float32))
            GATE.wait(10)
        if grey == 13:
            raise ValueError("13 is no grey\nfor anyone")
        return np.full((1, 4, 6, 3), grey / 255, np.float32)

    @node("Write", "IMAGE", is_output=True)
    def write(place, *, images: IMAGE) -> np.ndarray:
        return save_image(place, images=images, filename_prefix="some/made")


def graph(value=40, **more):
    """A graph of them, with other nodes by id."""
    nodes = {
        "1": ("Grey", {"value": value}),
        "2": ("Paint", {"grey": ["1", 0]}),
        "3": ("Write", {"images": ["2", 0]}),
    }
    return {
        name: {"class_type": kind, "inputs": own} for name, (kind, own) in (nodes | more).items()
    }
