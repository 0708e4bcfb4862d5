"""Ways to guide, against the functions of diffusers that have them, on the same arrays."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from diffusers import DDIMScheduler
from diffusers.guiders import ClassifierFreeZeroStarGuidance
from diffusers.guiders.adaptive_projected_guidance import MomentumBuffer, normalized_guidance
from guidance_arrays import NEGATIVE, PROMPT, ROW, SCALE, X, combined, x0_of
from slow_loop import relative_error

from jaxsd.sampling import Step
from jaxsd.sampling.features import FEATURES

pytestmark = pytest.mark.parity


def nchw(a: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.float32(a).transpose(0, 3, 1, 2))


def nhwc(tensor: torch.Tensor) -> np.ndarray:
    return tensor.numpy().transpose(0, 2, 3, 1)


def test_apg() -> None:
    """Of x0 and in the paper's form; diffusers gives it the network's output, and w for w - 1."""
    eta, norm, momentum = 0.3, 4.0, -0.5
    buffer, memory = MomentumBuffer(momentum), np.zeros_like(X)
    prompt, negative = nchw(x0_of(PROMPT)), nchw(x0_of(NEGATIVE))
    for _ in range(2):
        want = normalized_guidance(prompt, negative, SCALE - 1, buffer, eta, norm, True)
        got, kept = combined("apg", SCALE, eta, norm, momentum, memory={"apg": memory})
        memory = np.asarray(kept["apg"])
        assert relative_error(x0_of(got), nhwc(want)) < 5e-6


def test_cfg_zero() -> None:
    guider = ClassifierFreeZeroStarGuidance(guidance_scale=SCALE, zero_init_steps=1)
    for step, counts in ((0, 0.0), (1, 1.0)):
        guider.set_state(step, 5, torch.tensor(0))
        want = nhwc(guider.forward(nchw(PROMPT), nchw(NEGATIVE)).pred)
        got = combined("cfg_zero", SCALE, counts)[0]
        np.testing.assert_allclose(got, want, atol=2e-6 * np.abs(PROMPT).max() * SCALE)


@pytest.mark.parametrize("ratio", [0.9, 0.995])
def test_dynamic_thresholding(ratio: float) -> None:
    """diffusers has a range of 1, and a largest percentile that is 1 too if it is not given."""
    options = {"thresholding": True, "dynamic_thresholding_ratio": ratio, "sample_max_value": 1e6}
    want = nhwc(DDIMScheduler(**options)._threshold_sample(nchw(X)))
    step = Step(ROW, {"threshold": np.float32([[ratio, 1.0]] * 2)})
    assert relative_error(FEATURES["threshold"].on_x0(X, step), want) < 1e-6
