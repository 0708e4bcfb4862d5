"""Networks that go around, beside PyTorch's convolutions with padding_mode="circular"."""

import numpy as np
import pytest
from tiny_models import VAE_TINY, abstract_vae, random_params, relative_error, uniform

torch = pytest.importorskip("torch")

import jax
from module_parity import nchw, nhwc
from torch_twins import load, vae_twin

from jaxsd.models import VAE
from jaxsd.nn.circular import Circular
from jaxsd.nn.convolution import Downsample

pytestmark = pytest.mark.parity


def test_decoders_agree() -> None:
    params, latents = random_params(abstract_vae(VAE_TINY)), uniform("latents", (1, 4, 6, 4))
    twin = load(vae_twin(VAE_TINY), params)
    for module in twin.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.padding_mode = "circular"
            twice = [one for one in module.padding[::-1] for _ in range(2)]
            module._reversed_padding_repeated_twice = twice
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
