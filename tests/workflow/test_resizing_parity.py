"""Pictures, latents and masks in other sizes against torch's `interpolate`, and its convolution."""

import numpy as np
import pytest
from tiny_models import relative_error, uniform

torch = pytest.importorskip("torch")

from comfy_twin import grown

from jaxsd.workflow import nodes
from jaxsd.workflow.resizing import common_upscale, resized

pytestmark = pytest.mark.parity


@pytest.mark.parametrize("method", ["nearest-exact", "bilinear", "bicubic", "area"])
@pytest.mark.parametrize("size", [(13, 18), (5, 4), (9, 22), (18, 7)])
def test_as_torch(method: str, size: tuple[int, int]) -> None:
    x = uniform("x", (2, 9, 11, 3))
    want = torch.nn.functional.interpolate(torch.tensor(x).movedim(-1, 1), size=size, mode=method)
    assert relative_error(resized(x, *size, method), want.movedim(1, -1).numpy()) < 1e-5


def test_the_middle_of_the_new_shape() -> None:
    x = uniform("x", (1, 10, 20, 3))
    want = torch.nn.functional.interpolate(
        torch.tensor(x[:, :, 5:15]).movedim(-1, 1), size=(8, 8), mode="bilinear"
    )
    got = common_upscale(x, 8, 8, "bilinear", "center")
    assert relative_error(got, want.movedim(1, -1).numpy()) < 1e-5


def test_turned_latents() -> None:
    """Between two latents of other directions, by the formula for two vectors."""
    x = uniform("x", (1, 1, 2, 4))
    got = resized(x, 1, 4, "bislerp")[0, 0, 1]  # a quarter of the way
    low, high = (torch.tensor(x[0, 0, i], dtype=torch.float64) for i in range(2))
    lengths = [one.norm() for one in (low, high)]
    angle = torch.acos((low / lengths[0]) @ (high / lengths[1]))
    turned = (
        torch.sin(0.75 * angle) * low / lengths[0] + torch.sin(0.25 * angle) * high / lengths[1]
    )
    want = turned / torch.sin(angle) * (0.75 * lengths[0] + 0.25 * lengths[1])
    assert relative_error(got, want.numpy()) < 1e-5
    np.testing.assert_array_equal(resized(x[:, :, :1], 3, 3, "bislerp")[0, 2, 2], x[0, 0, 0])


@pytest.mark.parametrize("by", [1, 2, 5, 6])
def test_grown_masks(by: int) -> None:
    mask = (uniform("mask", (2, 20, 17)) > 1.5).astype(np.float32)
    want = grown(torch.tensor(mask)[:, None], by)[:, 0]
    np.testing.assert_array_equal(nodes.grown(mask, by), want.numpy())
