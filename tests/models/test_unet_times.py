"""What resnets add for the time, before the loop and in each call."""

from dataclasses import replace

import jax
import numpy as np
import pytest
from tiny_models import TINY, abstract_unet, apply, random_params, unet_inputs

from jaxsd.models import UNet
from jaxsd.models.times import times_of

TOLD = ("timestep", "pooled", "time_ids", "guidance")


@pytest.mark.parametrize("family", ["lcm", "sdxl"])
def test_a_u_net_with_its_times_needs_nothing_else_of_the_time(family: str) -> None:
    config = TINY[family].unet
    network = UNet(replace(config, levels=config.levels[:1], mid_depth=1))
    params, inputs = random_params(abstract_unet(network.config)), unet_inputs(network.config)
    want = apply(network, params, **inputs)
    told = {name: inputs[name] for name in TOLD if name in inputs}
    times = times_of(network.config, network.dtype, params, **told)
    assert {own.shape[0] for own in times.values()} == {2}
    rest = inputs | {"timestep": None, "pooled": None, "time_ids": None, "guidance": None}
    got, _ = apply(network, params, "around", deep=None, times=times, **rest)
    np.testing.assert_allclose(got, want, rtol=0, atol=2e-5)
    swapped = jax.tree.map(lambda own: own[::-1], times)
    other, _ = apply(network, params, "around", deep=None, times=swapped, **rest)
    assert np.abs(other - want).max() > 1e-2
