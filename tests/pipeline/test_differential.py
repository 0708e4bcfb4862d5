"""The mask as a map of change."""

import numpy as np
import pytest
from tiny_pipelines import SMALLEST

from jaxsd.canvases import Canvas, pasted_back
from jaxsd.families import inpainting
from jaxsd.pipeline.columns import blend
from jaxsd.sampling import Row, Step
from jaxsd.sampling.features.blend import Blend, on_sample
from jaxsd.settings import Settings, checked, tableau_of

GIVEN = {"width": 16, "height": 16, "image": "a.png", "steps": 7, "sampler": "euler"}


@pytest.mark.parametrize("strength", [1.0, 0.6])
def test_greys_are_painted_from_their_step_on(strength: float) -> None:
    own = {"mask": "b.png", "differential": True, "strength": strength}
    settings = checked(Settings("a", **GIVEN, **own), SMALLEST)
    tableau = tableau_of(settings, SMALLEST)
    column, rows = blend(SMALLEST, settings, tableau), tableau.rows
    greys = np.arange(256, dtype=np.float32) / 255
    thresholds = np.arange(1, rows, dtype=np.float32) / rows
    mask = np.concatenate([greys, thresholds]).reshape(1, -1, 1, 1)
    held = Blend(mask, np.full_like(mask, 2), np.full_like(mask, 3))
    z = np.full_like(mask, 5)
    for row in range(rows):
        step = Step(Row(*[None] * len(Row._fields)), {"blend": column[None, row]})
        got = np.ravel(on_sample(held)(z, step))
        # The rule of diffusers' community pipeline, before its step i: original_with_noise[i] where
        # 1 - mask > i / rows; there is no step behind the last one.
        i = row + 1
        kept = np.round(np.ravel(1 - mask).astype(np.float64) * rows * 255) > i * 255
        level = 2 * tableau.alpha[i] + 3 * tableau.sigma[i]
        want = np.where(kept, level, 5) if i < rows else np.full(len(kept), 5)
        np.testing.assert_allclose(got, want, rtol=1e-6)


def test_what_is_black_is_kept_and_grey_is_not_mixed() -> None:
    settings = Settings("a", differential=True)
    mask = np.float32([[0, 0.01, 1]])
    canvas = Canvas(np.zeros((1, 3, 3), np.uint8), mask, ())
    drawn = np.full((1, 3, 3), 100, np.uint8)
    assert pasted_back(drawn, canvas, settings)[0, :, 0].tolist() == [0, 100, 100]


def test_mistakes_are_named() -> None:
    with pytest.raises(ValueError, match="differential needs a mask"):
        checked(Settings("a", **GIVEN, differential=True), SMALLEST)
    settings = Settings("a", **GIVEN, mask="b.png", differential=True)
    with pytest.raises(ValueError, match="differential needs a model whose U-Net does not see"):
        checked(settings, inpainting(SMALLEST))
