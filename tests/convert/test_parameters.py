"""The table of parameters against the networks themselves, and against published totals."""

import numpy as np
import pytest
from tiny_models import TINY, abstract_text, abstract_unet, abstract_vae

from jaxsd import families
from jaxsd.convert.parameters import parameters, text_parameters, unet_parameters, vae_parameters

TOTALS = {
    ("sd1", "unet"): 859_520_964,
    ("sd2", "unet"): 865_910_724,
    ("sdxl", "unet"): 2_567_463_684,
    ("sd1", "vae"): 83_653_863,
    ("sd1", "text_0"): 123_060_480,
}


@pytest.mark.parametrize(("family", "part"), TOTALS)
def test_published_totals(family, part):
    shapes = parameters(families.FAMILIES[family])[part]
    assert sum(int(np.prod(shape)) for shape in shapes.values()) == TOTALS[family, part]


def of_network(abstract):
    return {path.removeprefix("/"): array.shape for path, array in leaves_of(abstract).items()}


def leaves_of(tree, path=""):
    if not isinstance(tree, dict):
        return {path: tree}
    return {p: x for name, v in tree.items() for p, x in leaves_of(v, f"{path}/{name}").items()}


@pytest.mark.parametrize("family", TINY)
def test_tiny_networks(family):
    spec = TINY[family]
    assert unet_parameters(spec.unet) == of_network(abstract_unet(spec.unet))
    assert vae_parameters(spec.vae) == of_network(abstract_vae(spec.vae))
    for text in spec.text:
        assert text_parameters(text) == of_network(abstract_text(text))


# Those whose shapes tests/models counts too: tracing a network takes seconds, once per session.
@pytest.mark.parametrize("family", ["sd1", "sdxl"])
def test_real_networks(family):
    spec = families.FAMILIES[family]
    assert unet_parameters(spec.unet) == of_network(abstract_unet(spec.unet))
    assert vae_parameters(spec.vae) == of_network(abstract_vae(spec.vae))
    for text in spec.text:
        assert text_parameters(text) == of_network(abstract_text(text))
