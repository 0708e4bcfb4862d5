"""Numbers of torch's own generator on the CPU, bit for bit."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from jaxsd.generators import Mersenne

pytestmark = pytest.mark.parity


def test_a_thousand_shapes() -> None:
    """Every count to 500 and larger shapes, and in every tenth what is drawn after it."""
    if torch.backends.cpu.get_cpu_capability() == "DEFAULT":
        pytest.skip("this processor has no AVX2, and torch's last bits differ there")
    rng = np.random.default_rng(0)
    shapes = [(count,) for count in range(1, 500)]
    shapes += [(int(rng.integers(1, 5)), 4, *map(int, rng.integers(1, 24, 2))) for _ in range(500)]
    shapes.append((2, 4, 128, 128))
    for seed, shape in enumerate(shapes, start=2**31 - 5):
        theirs = torch.Generator().manual_seed(seed * 77)
        ours = Mersenne(seed * 77)
        for _ in range(1 + (seed % 10 == 0)):
            want = torch.randn(shape, generator=theirs).numpy()
            np.testing.assert_array_equal(ours.normal(want.size).reshape(shape), want)
