"""PyTorch's generators of normal numbers, in NumPy: the noise that other programs draw.

generator = GENERATORS["torch"](42)
noise = generator.normal(4 * 64 * 64)  # torch.Generator().manual_seed(42), then torch.randn
"""

from collections.abc import Callable

from jaxsd.generators.mersenne import Mersenne
from jaxsd.generators.philox import Philox

Generator = Mersenne | Philox

GENERATORS: dict[str, Callable[[int], Generator]] = {"torch": Mersenne, "cuda": Philox}
"""By the name of the option `noise`: torch's generator on a CPU, and on a CUDA device."""

__all__ = ["GENERATORS", "Generator", "Mersenne", "Philox"]
