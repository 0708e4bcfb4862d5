"""Files and models for tests of the converter, made without torch, JAX or networks."""

import numpy as np

from jaxsd.config import ModelSpec
from jaxsd.convert.files.tensors import FlatTree, LazyTensor, in_memory, load
from jaxsd.convert.parameters import parameters
from jaxsd.types import Params


def unread(shapes: dict[str, tuple[int, ...]], dtype: str = "float16") -> FlatTree:
    """Tensors of these shapes that cost nothing and cannot be read."""

    def read() -> np.ndarray:
        raise AssertionError("only names and shapes should be needed")

    return {name: LazyTensor(shape, np.dtype(dtype), read) for name, shape in shapes.items()}


def random_model(spec: ModelSpec, dtype: str = "float32", seed: int = 0) -> Params:
    """Parameters of a model, all different, as NumPy arrays."""
    generator = np.random.default_rng(seed)
    trees = {
        part: load(
            {
                path: in_memory(generator.standard_normal(shape, np.float32).astype(dtype))
                for path, shape in shapes.items()
            }
        )
        for part, shapes in parameters(spec).items()
    }
    text = [trees.pop(f"text_{k}") for k in range(len(spec.text))]
    return trees | {"text": text}


def leaves(tree: Params | list, path: str = "") -> dict[str, np.ndarray]:
    """Path -> array of a nested tree of dicts and lists."""
    if not isinstance(tree, dict | list):
        return {path: np.asarray(tree)}
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    found: dict[str, np.ndarray] = {}
    for name, value in items:
        found |= leaves(value, f"{path}/{name}")
    return found


def assert_same(got: Params, want: Params) -> None:
    """Trees are the same to the last bit, dtype and path."""
    got, want = leaves(got), leaves(want)
    assert got.keys() == want.keys()
    for path, array in want.items():
        assert got[path].dtype == array.dtype, path
        assert got[path].shape == array.shape, path
        assert np.ascontiguousarray(got[path]).tobytes() == array.tobytes(), path
