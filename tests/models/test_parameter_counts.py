"""Numbers of parameters of the published models, counted without making one."""

import jax
import numpy as np
import pytest
from tiny_models import abstract_text, abstract_unet, abstract_vae

from jaxsd import families
from jaxsd.config import TextConfig
from jaxsd.types import Params

UNETS = {
    "sd1": 859_520_964,
    "sd2": 865_910_724,
    "sdxl": 2_567_463_684,
    "sdxl-refiner": 2_259_526_660,
}


def count(tree: Params) -> int:
    return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(tree))


@pytest.mark.parametrize("family", UNETS)
def test_unet(family: str) -> None:
    assert count(abstract_unet(families.FAMILIES[family].unet)) == UNETS[family]


def test_vae() -> None:
    assert count(abstract_vae(families.VAE_SD)) == 83_653_863


@pytest.mark.parametrize(
    ("config", "parameters"),
    [
        (families.CLIP_L, 123_060_480),
        (families.OPENCLIP_H, 340_387_840),
        (families.OPENCLIP_BIGG, 694_659_840),
    ],
    ids=["clip-l", "openclip-h", "openclip-bigg"],
)
def test_text_encoder(config: TextConfig, parameters: int) -> None:
    assert count(abstract_text(config)) == parameters


def test_the_other_families_have_these_levels_too() -> None:
    counted = {families.FAMILIES[name].unet.levels for name in UNETS}
    others = {name for name, spec in families.FAMILIES.items() if spec.unet.levels not in counted}
    assert others == {"emoji"}
