"""What resnets add for the time, for all rows of a run at once."""

from dataclasses import replace
from functools import partial

import jax
import numpy as np
import pytest
from tiny_models import TINY, X4_UNET, abstract_unet, random_params, uniform

from jaxsd.config import UNetConfig
from jaxsd.models import UNet
from jaxsd.models.times import times_of
from jaxsd.sampling import Step, rows_of, times
from jaxsd.sampling.call import Conditions, Networks
from jaxsd.sampling.times import with_times
from jaxsd.schedulers import NoiseSchedule, build

XL = TINY["sdxl"]
ONE_LEVEL = replace(XL.unet, levels=XL.unet.levels[:1], mid_depth=1)
TABLES = [
    build("ddim", NoiseSchedule.from_config(XL.schedule), steps, "epsilon") for steps in (3, 2)
]
WHICH = np.int32([[[0, 1], [2, 1]], [[0, 2], [0, 1]], [[0, 1], [0, 1]]])
STEPS = Step(rows_of(TABLES), {"which": WHICH})
ADDED = Conditions(
    context=np.zeros((2, 3, 5, 80), np.float32),
    pooled=uniform("pooled", (2, 3, 24)),
    time_ids=64 + 32 * uniform("ids", (2, 3, 6)),
    guidance=np.ones(2, np.float32),
    held={},
)


def networks(config: UNetConfig) -> Networks:
    return Networks(UNet(config), None, ())


def test_each_branch_of_each_row_has_that_of_its_time_and_text() -> None:
    params = {"unet": random_params(abstract_unet(ONE_LEVEL))}
    found = jax.jit(partial(with_times, networks(ONE_LEVEL)))(params, STEPS, ADDED).times
    alone = jax.jit(partial(times_of, ONE_LEVEL, np.float32))
    for row, image, branch in ((0, 0, 1), (0, 1, 0), (1, 0, 1), (2, 0, 0)):
        text = WHICH[row, image, branch]
        told = (own[image, text][None] for own in (ADDED.pooled, ADDED.time_ids))
        want = alone(params["unet"], STEPS.row.timestep[row, image][None], *told)
        assert found.keys() == want.keys()
        for path, own in found.items():
            np.testing.assert_allclose(own[row, image, branch], want[path][0], rtol=0, atol=1e-5)


def test_rows_have_none_for_models_with_labels_or_where_they_are_large(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def made(config: UNetConfig) -> Step:
        told = {"unet": abstract_unet(config)}, STEPS, ADDED
        return jax.eval_shape(partial(with_times, networks(config)), *told)

    assert made(X4_UNET).times is None
    numbers = sum(own.size for own in made(ONE_LEVEL).times.values())
    monkeypatch.setattr(times, "MOST", 4 * numbers)
    assert made(ONE_LEVEL).times
    monkeypatch.setattr(times, "MOST", 4 * numbers - 1)
    assert made(ONE_LEVEL).times is None
