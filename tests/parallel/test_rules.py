"""Every parameter of every family has a place on every mesh; without weights in memory."""

import jax
import numpy as np
import pytest
from jax.sharding import AbstractMesh, Mesh
from tiny_models import TINY

from jaxsd import families
from jaxsd.config import ModelSpec
from jaxsd.convert.parameters import parameters
from jaxsd.parallel import MESH_AXES, mesh_of, param_sharding

MESHES = [(1, 1, 1), (8, 1, 1), (2, 2, 2), (1, 8, 1), (1, 1, 8), (2, 4, 1)]


def paths_of(spec: ModelSpec) -> dict[str, tuple[int, ...]]:
    return {
        f"{part.replace('text_', 'text/')}/{path}": shape
        for part, shapes in parameters(spec).items()
        for path, shape in shapes.items()
    }


def abstract_mesh(shape: tuple[int, ...]) -> AbstractMesh:
    return AbstractMesh(shape, MESH_AXES)


@pytest.mark.parametrize("shape", MESHES)
@pytest.mark.parametrize("family", families.FAMILIES)
def test_every_parameter_has_a_place(family: str, shape: tuple[int, ...]) -> None:
    mesh = abstract_mesh(shape)
    total = here = 0
    for path, sides in paths_of(families.FAMILIES[family]).items():
        if "token_embedding" in path:  # split by "fsdp" alone
            continue
        if path.startswith("vision/"):  # which runs once, whole on each device
            continue
        total += np.prod(sides)
        here += np.prod(param_sharding(path, sides, mesh).shard_shape(sides))
    # But for vectors and the first and last layers everything is split.
    assert here <= total / (shape[1] * shape[2]) * 1.05


def test_pairs_are_split_as_megatron_does() -> None:
    mesh = abstract_mesh((1, 2, 4))
    block = "unet/mid_block/attentions_0/transformer_blocks_0"

    def spec(path: str, *shape: int) -> tuple[str | None, ...]:
        return tuple(param_sharding(f"{block}/{path}", shape, mesh).spec)

    assert spec("attn1/to_q/kernel", 8, 16) == ("fsdp", "tensor")
    assert spec("attn1/to_out_0/kernel", 16, 8) == ("tensor", "fsdp")
    assert spec("ff/net_0/proj/kernel", 8, 64) == ("fsdp", "tensor")
    assert spec("ff/net_2/kernel", 32, 8) == ("tensor", "fsdp")
    assert spec("norm1/scale", 8) == ()


def test_what_has_no_place_is_an_error_that_names_it() -> None:
    mesh = abstract_mesh((1, 3, 1))
    with pytest.raises(ValueError, match=r"no rule for parameter unet/new/thing \[3\]"):
        param_sharding("unet/new/thing", (3,), mesh)
    with pytest.raises(ValueError, match=r"unet/a/conv1/kernel \[3, 3, 32, 32\] .* 3 devices"):
        param_sharding("unet/a/conv1/kernel", (3, 3, 32, 32), mesh)


@pytest.mark.parametrize(
    ("shape", "want"), [((-1, 1, 1), (8, 1, 1)), ((2, -1, 2), (2, 2, 2)), ((1, 8, 1), (1, 8, 1))]
)
def test_meshes_take_every_device(shape: tuple[int, ...], want: tuple[int, ...]) -> None:
    mesh: Mesh = mesh_of(shape, jax.devices()[:1] * 8)
    assert tuple(mesh.shape.values()) == want


@pytest.mark.parametrize("shape", [(3, 1, 1), (2, 1, 1), (-1, 3, 1), (0, 1, 1), (-1, -1, 1), (8,)])
def test_shapes_that_do_not_fit_are_one_line(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"does not fit 8 devices; give data, fsdp, tensor"):
        mesh_of(shape, jax.devices()[:1] * 8)


def test_tiny_models_have_places() -> None:
    for spec in TINY.values():
        for path, shape in paths_of(spec).items():
            param_sharding(path, shape, abstract_mesh((2, 4, 1)))
