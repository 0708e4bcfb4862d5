"""Networks that go around, beside PyTorch's convolutions with padding_mode="circular"."""

import numpy as np
import pytest
from tiny_models import (
    TINY,
    VAE_TINY,
    abstract_unet,
    abstract_vae,
    random_params,
    relative_error,
    unet_inputs,
    uniform,
)

torch = pytest.importorskip("torch")

import jax
from torch_twins import load, unet_twin, vae_twin

from jaxsd.models import VAE, UNet
from jaxsd.nn.circular import Circular
from jaxsd.nn.convolution import Downsample
from jaxsd.parity.modules import nchw, nhwc, run_unet

pytestmark = pytest.mark.parity


def around(twin: torch.nn.Module) -> torch.nn.Module:
    """A network of PyTorch, all of whose convolutions go around from now on."""
    for module in twin.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.padding_mode = "circular"
            twice = [one for one in module.padding[::-1] for _ in range(2)]
            module._reversed_padding_repeated_twice = twice
    return twin


@pytest.mark.release
def test_whole_unets_agree() -> None:
    """Also where maps are halved and doubled."""
    config = TINY["sd2"].unet
    params, inputs = random_params(abstract_unet(config)), unet_inputs(config, size=(8, 12))
    want = run_unet(around(load(unet_twin(config, linear_projection=True), params)), inputs)
    got = jax.jit(lambda p, x: Circular(UNet(config), "xy").apply(p, **x))(
        {"params": params}, inputs
    )
    print(f"relative error {relative_error(got, want):.1e}")
    assert relative_error(got, want) < 1e-5
    plain = jax.jit(lambda p, x: UNet(config).apply(p, **x))({"params": params}, inputs)
    assert relative_error(plain, want) > 1e-2


def test_decoders_agree() -> None:
    params, latents = random_params(abstract_vae(VAE_TINY)), uniform("latents", (1, 4, 6, 4))
    twin = around(load(vae_twin(VAE_TINY), params))
    with torch.no_grad():
        want = nhwc(twin.decode(nchw(latents)).sample)
    run = jax.jit(lambda p, z: Circular(VAE(VAE_TINY), "xy").apply(p, z, method="decode"))
    assert relative_error(run({"params": params}, latents), want) < 1e-5


def test_strides_begin_where_those_of_pytorch_do() -> None:
    x, ours = uniform("circular", (1, 8, 12, 4)), Downsample(6, (1, 1), np.float32)
    params = ours.init(jax.random.key(0), x)
    own = {"stride": 2, "padding": 1, "padding_mode": "circular", "bias": False}
    theirs = torch.nn.Conv2d(4, 6, 3, **own)
    kernel = np.array(params["params"]["conv"]["kernel"]).transpose(3, 2, 0, 1)
    theirs.weight.data = torch.from_numpy(kernel)
    with torch.no_grad():
        want = nhwc(theirs(nchw(x)))
    got = jax.jit(Circular(ours, "xy").apply)(params, x)
    assert relative_error(got, want) < 1e-5
