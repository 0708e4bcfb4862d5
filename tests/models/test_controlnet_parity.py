"""ControlNets of every family against diffusers', module by module, in float32."""

import pytest

torch = pytest.importorskip("torch")

import numpy as np
from diffusers import ControlNetModel
from tiny_models import (
    CONTROLNETS,
    TINY,
    abstract_unet,
    apply,
    controlnet_inputs,
    controlnet_params,
    random_params,
    unet_inputs,
)
from torch_twins import controlnet_twin, load, unet_twin

from jaxsd import families
from jaxsd.config import ControlNetConfig
from jaxsd.convert.adapter_parameters import controlnet_parameters
from jaxsd.models import ControlNet, UNet
from jaxsd.parity.modules import (
    compare_modules,
    flax_outputs,
    relative_error,
    run_controlnet,
    run_unet,
    torch_outputs,
)

pytestmark = pytest.mark.parity

TOLERANCE = 1e-5
"""Of the largest value: float32 sums in another order."""


@pytest.mark.parametrize(
    "family",
    [pytest.param(name, marks=[pytest.mark.release] * (name == "sd2")) for name in CONTROLNETS],
)
def test_residuals_and_the_unet_that_takes_them(family: str) -> None:
    config, linear = CONTROLNETS[family], TINY[family].layout.linear_projection
    params, inputs = controlnet_params(config), controlnet_inputs(config)
    twin = load(controlnet_twin(config, linear_projection=linear), params)
    want, theirs = torch_outputs(twin, lambda: run_controlnet(twin, inputs))
    got, ours = flax_outputs(ControlNet(config), params, inputs)
    for residual, wanted in zip((*got.down, got.mid), (*want.down, want.mid), strict=True):
        assert relative_error(residual, wanted) <= TOLERANCE
    errors = compare_modules(ours, theirs)
    assert max(error.error for error in errors) <= TOLERANCE, sorted(errors, key=lambda e: -e.error)
    assert len(errors) >= 60

    weights, inputs = random_params(abstract_unet(config.unet)), unet_inputs(config.unet)
    unet = load(unet_twin(config.unet, linear_projection=linear), weights)
    with torch.no_grad():
        conditioned, plain = run_unet(unet, inputs, want), run_unet(unet, inputs)
    ours = apply(UNet(config.unet), weights, **inputs, residuals=got)
    assert relative_error(ours, conditioned) <= TOLERANCE
    assert relative_error(conditioned, plain) > 0.01, "the residuals do nothing"


@pytest.mark.parametrize("family", ["sd1", "sd2", "sdxl"])
def test_number_of_parameters(family: str) -> None:
    spec = families.FAMILIES[family]
    config = ControlNetConfig(spec.unet)
    with torch.device("meta"):
        twin: ControlNetModel = controlnet_twin(
            config, linear_projection=spec.layout.linear_projection
        )
    shapes = controlnet_parameters(config)
    assert len(shapes) == len(twin.state_dict())
    count = sum(int(np.prod(shape)) for shape in shapes.values())
    assert count == sum(tensor.numel() for tensor in twin.parameters())
    assert family != "sd1" or count == 361_279_120
