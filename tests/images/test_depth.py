"""Maps of depth for latents."""

import numpy as np
import pytest
from tiny_models import uniform
from tiny_pipelines import SMALLEST

from jaxsd.canvases import Pictures, canvas_of, grey
from jaxsd.families import depth
from jaxsd.images import latent_depth
from jaxsd.pipeline.given_features import channels_of
from jaxsd.settings import Settings, checked

SPEC = depth(SMALLEST)


def test_a_ramp_stays_one_and_ends_at_1() -> None:
    ramp = np.tile(np.arange(64.0) * 3 + 7, (16, 1))
    small = latent_depth(ramp, 8)
    assert small.shape == (2, 8)
    np.testing.assert_allclose(small[:, 1:7], np.tile(small[:1, 1:7], (2, 1)), atol=1e-6)
    np.testing.assert_allclose(np.diff(small[0, 1:7], 2), 0, atol=1e-6)
    assert (small.min(), small.max()) == (-1, 1)
    np.testing.assert_array_equal(latent_depth(np.full((16, 16), 3), 8), np.zeros((2, 2)))


@pytest.mark.parity
def test_as_pytorch_interpolates() -> None:
    torch = pytest.importorskip("torch")
    values = uniform("depth", (24, 40))
    want = torch.nn.functional.interpolate(
        torch.from_numpy(values)[None, None], size=(3, 5), mode="bicubic", align_corners=False
    )[0, 0].numpy()
    want = 2 * (want - want.min()) / (want.max() - want.min()) - 1
    np.testing.assert_allclose(latent_depth(values, 8), want, atol=2e-6)


def test_what_the_network_is_given() -> None:
    settings = checked(Settings("a", depth="d.png", width=16, height=8), SPEC)
    near = np.zeros((8, 16), np.uint8)
    near[:, 8:] = 255
    canvas = canvas_of(settings, Pictures(depth=near))
    given = channels_of(SPEC, settings, [canvas], [], 2)["channels"]
    assert given.image is None
    assert given.map.shape == (1, 4, 8, 1)
    assert (given.map[0, 0, 1, 0], given.map[0, 0, 6, 0]) == pytest.approx((-0.875, 0.875), abs=0.2)


@pytest.mark.parametrize(
    ("options", "spec", "message"),
    [
        ({}, SPEC, "this model sees how near things are; give a picture of that with depth"),
        ({"depth": "d.png"}, SMALLEST, "depth 'd.png' is for depth-to-image models, and this is"),
    ],
)
def test_mistakes_are_named(options: dict, spec: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        checked(Settings("a", **options), spec)


def test_colours_are_no_depth() -> None:
    image = np.full((4, 4, 3), 100, np.uint8)
    assert grey(image, "d.png").shape == (4, 4)
    image[0, 0, 2] = 200
    with pytest.raises(ValueError, match="has colours; give a grey picture"):
        grey(image, "d.png")
