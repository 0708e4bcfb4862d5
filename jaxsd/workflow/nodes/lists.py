"""Nodes that divide batches into lists, for each part of which what follows runs once."""

from typing import Annotated

import numpy as np

from jaxsd.workflow.resizing import common_upscale
from jaxsd.workflow.schema import Range, node
from jaxsd.workflow.values import IMAGE

Size = Annotated[int, Range(1, 4096)]


@node("RebatchImages", "IMAGE", takes_lists=True, gives_lists=True)
def rebatch_images(*, images: IMAGE, batch_size: Size = 1) -> list[np.ndarray]:
    """All pictures of a list, in batches of another size."""
    first = images[0]
    whole = [common_upscale(one, *first.shape[1:3], "bilinear", "center") for one in images]
    return _batches(np.concatenate(whole), batch_size[0])


def _batches(whole: np.ndarray, size: int) -> list[np.ndarray]:
    return [whole[i : i + size] for i in range(0, len(whole), size)]
