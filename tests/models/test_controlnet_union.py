"""Kinds of pictures for a ControlNet-Union: how they are written, and the layers that read them."""

from dataclasses import replace

import jax
import numpy as np
import pytest
from tiny_models import CONTROLNETS

from jaxsd.convert.adapter_parameters import controlnet_parameters
from jaxsd.convert.controlnet_union import union_parameters
from jaxsd.convert.files.tensors import flatten
from jaxsd.models.controlnet_union import KindNetwork
from jaxsd.settings import Control, ImagePrompt, check_kind, in_range, settings_from
from jaxsd.settings.controls import runs_of

CONFIG = replace(CONTROLNETS["sdxl"], kinds=6, kind_layers=2)


def test_parameters_are_those_of_the_network() -> None:
    features, kinds = np.zeros((1, 2, 2, 32), np.float32), np.zeros((1, 1), np.int32)
    network = KindNetwork(CONFIG, np.float32)
    made = jax.eval_shape(network.init, jax.random.key(0), (features,), kinds)["params"]
    found = {path: leaf.shape for path, leaf in flatten(made).items()}
    table = union_parameters(CONFIG)
    assert {path: table[path] for path in found} == found
    assert table.keys() - found.keys() == controlnet_parameters(CONFIG).keys()
    with pytest.raises(ValueError, match="kinds = 6 needs a U-Net with added conditions"):
        replace(CONTROLNETS["sd1"], kinds=6)


def test_a_kind_is_written_behind_the_model() -> None:
    control = Control.parse("pose.png:union.safetensors@openpose:0.8:0.1:0.9")
    assert control == Control("pose.png", "union.safetensors", 0.8, 0.1, 0.9, "openpose")
    assert Control.parse(str(control)) == control
    assert control.source == "union.safetensors@openpose"
    for name in ("a/b@2x.safetensors", "a@b/c", "@x", "plain"):
        assert Control.parse(f"p.png:{name}").model == name
    assert ImagePrompt.parse("p.png:face@home").model == "face@home"


@pytest.mark.parametrize(
    ("text", "kinds", "why"),
    [
        ("p.png:net", 6, "write net@KIND, with one of openpose, depth, hed, .* segment$"),
        ("p.png:net@tile", 6, "write net@KIND, with one of .* segment$"),
        ("p.png:net@canny", 0, "net is no ControlNet-Union; leave out @canny"),
    ],
)
def test_kinds_that_a_network_does_not_have(text: str, kinds: int, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        check_kind(Control.parse(text), kinds)


def test_kinds_that_there_are() -> None:
    check_kind(Control.parse("p.png:net@tile"), 8)
    check_kind(Control.parse("p.png:net"), 0)
    with pytest.raises(ValueError, match="kind 'poze' is none of openpose, depth"):
        in_range(settings_from({"control": "p.png:net@poze"}))


def test_pictures_that_share_a_run() -> None:
    texts = ("a.png:net@canny:0.5", "b.png:other", "c.png:net@depth", "d.png:other")
    controls = [Control.parse(text) for text in texts]
    assert runs_of(controls, at_once=False) == [(0,), (1,), (2,), (3,)]
    assert runs_of(controls, at_once=True) == [(0, 2), (1,), (3,)]
    with pytest.raises(ValueError, match=r"share a run .*; give them the same FROM and TO"):
        runs_of([*controls, Control.parse("e.png:net@hed:1:0:0.5")], at_once=True)
