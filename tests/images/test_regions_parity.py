"""Boxes around masks, beside those of diffusers' `padding_mask_crop`."""

import numpy as np
import pytest

diffusers = pytest.importorskip("diffusers")

from PIL import Image

from jaxsd.images.regions import region_of

pytestmark = pytest.mark.parity


def test_boxes_are_those_of_diffusers() -> None:
    from diffusers.image_processor import VaeImageProcessor

    chance = np.random.default_rng(0)
    for _ in range(300):
        height, width = chance.integers(20, 90, 2)
        mask = np.zeros((height, width), np.uint8)
        top, left = chance.integers(0, (height - 1, width - 1))
        mask[top : top + chance.integers(1, 40), left : left + chance.integers(1, 40)] = 255
        size = [int(side) for side in 8 * chance.integers(4, 16, 2)]
        padding = int(chance.integers(0, 20))
        theirs = VaeImageProcessor.get_crop_region(
            Image.fromarray(mask), width=size[1], height=size[0], pad=padding
        )
        box = region_of(mask, padding, *size)
        assert (box.left, box.top, box.right, box.bottom) == theirs
