"""Inception's files and network against torch, on random weights."""

from pathlib import Path

import jax
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from inception_twin import InceptionTwin, random_twin
from safetensors.torch import save_file

from jaxsd.convert.inception import FID_CLASSES, read_inception
from jaxsd.models import Inception
from jaxsd.types import Params

pytestmark = pytest.mark.parity

SIDE = 107
"""Pixels: enough for a last map of 2 x 2, where all of its pools see an edge, and quick."""
TOLERANCE = 2e-5
"""Of the largest feature: float32 sums in another order, through 20 layers in a row."""


@pytest.fixture(scope="module")
def twin() -> InceptionTwin:
    return random_twin()


@pytest.fixture(scope="module")
def params(twin: InceptionTwin, tmp_path_factory: pytest.TempPathFactory) -> Params:
    """Read from a .pth file, as pytorch-fid's weights come."""
    path = tmp_path_factory.mktemp("inception") / "inception.pth"
    torch.save(twin.state_dict(), path)
    found, classes = read_inception(path)
    assert classes == FID_CLASSES
    return found


def test_features(twin: InceptionTwin, params: Params) -> None:
    images = np.random.default_rng(0).uniform(-1, 1, (2, SIDE, SIDE, 3)).astype(np.float32)
    with torch.no_grad():
        want = twin(torch.from_numpy(images.transpose(0, 3, 1, 2).copy())).numpy()
    got = np.asarray(jax.jit(Inception().apply)({"params": params}, images))
    assert got.shape == want.shape == (2, 2048)
    assert want.std() > 0.1  # the weights let something through
    assert np.abs(got - want).max() <= TOLERANCE * np.abs(want).max()


def test_safetensors_and_other_dtypes_hold_the_same(
    twin: InceptionTwin, params: Params, tmp_path: Path
) -> None:
    state = {name: tensor.contiguous() for name, tensor in twin.state_dict().items()}
    state |= {"AuxLogits.conv0.conv.weight": torch.zeros(1)}  # torchvision's own files have some
    save_file(state, tmp_path / "inception.safetensors")
    found = read_inception(tmp_path / "inception.safetensors").params
    for part in ("kernel", "bias"):
        block = "Mixed_7c", "branch3x3dbl_3b", part
        ours, same = found, params
        for name in block:
            ours, same = ours[name], same[name]
        np.testing.assert_array_equal(ours, same)
