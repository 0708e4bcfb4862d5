"""Pictures in windows are those of diffusers' panoramas, from the same noise."""

from functools import partial
from unittest import mock

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from diffusers import StableDiffusionPanoramaPipeline
from diffusers_pairs import (
    NEGATIVES,
    PROMPTS,
    SAMPLERS,
    STEPS,
    Pair,
    assert_same_latents,
    order_of,
    pair_of,
)
from tiny_models import uniform

from jaxsd.parity.modules import nchw
from jaxsd.sampling.features.windows import Windows

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore::FutureWarning")]

HEIGHT, WIDTH, SIDE, STRIDE = 12, 16, 8, 4
"""Of the latents, and of windows."""


def of_equal_weight(grid: Windows) -> Windows:
    """The same windows, of which each counts alike, as in MultiDiffusion's equation 5."""

    def shares(corners: np.ndarray, length: int) -> np.ndarray:
        count = np.zeros(length)
        for first in np.unique(corners):
            count[first : first + SIDE] += 1
        return np.stack([1 / count[first : first + SIDE] for first in corners])

    down, along = (shares(grid.corners[0, :, i], side) for i, side in enumerate((HEIGHT, WIDTH)))
    return grid._replace(
        down=np.stack([down] * 2).astype(np.float32), along=np.stack([along] * 2).astype(np.float32)
    )


def panorama(pair: Pair, noise: np.ndarray, **sides: int) -> torch.Tensor:
    """The final latents of diffusers' pipeline, which mixes up the prompts of a batch: one each."""
    kind = StableDiffusionPanoramaPipeline
    pipe = kind.from_pipe(pair.theirs)
    pipe.set_progress_bar_config(disable=True)
    pipe.scheduler = SAMPLERS["ddim"].from_config(pair.settings)
    told = {"num_inference_steps": STEPS, "guidance_scale": 7.5, "output_type": "latent"}
    views = partial(kind.get_views, pipe, window_size=SIDE, stride=STRIDE)
    with mock.patch.object(pipe, "get_views", views):
        return torch.cat(
            [
                pipe(
                    prompt, negative_prompt=negative, latents=nchw(own[None]), **told | sides
                ).images
                for prompt, negative, own in zip(PROMPTS, NEGATIVES, noise, strict=True)
            ]
        )


def test_panoramas() -> None:
    pair, noise = pair_of("sd1"), uniform("panorama", (2, HEIGHT, WIDTH, 4))
    sides = {"height": 8 * HEIGHT, "width": 8 * WIDTH}
    want = panorama(pair, noise, **sides)
    told = {"windows": (8 * SIDE, 8 * (SIDE - STRIDE)), "guidance_scale": 7.5, "latents": noise}
    order = order_of(pair, "ddim", **told | sides)
    grid = of_equal_weight(order.given.features["windows"])
    assert grid.corners.shape == (2, 6, 2)
    features = order.given.features | {"windows": grid}
    order = order._replace(given=order.given._replace(features=features))
    assert_same_latents(pair, order, want)
