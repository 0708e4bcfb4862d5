"""What accelerators are given for attention, by lowering for them on a CPU."""

import re

import jax
import numpy as np
import pytest
from jax._src.cudnn import fused_attention_stablehlo as cudnn
from jax.sharding import AbstractMesh, AxisType

from jaxsd.nn.attention import attention
from jaxsd.nn.shared_kernel import IMAGES, PARTS, shared_kernel

FLASH = "__cudnn$fmhaSoftmax"


def lowered(platform: str, tokens: int, heads: int, width: int, dtype: str, keys: int = 0) -> str:
    """The program of attention that is compiled for the platform."""
    q = jax.ShapeDtypeStruct((2, tokens, heads, width), dtype)
    k = jax.ShapeDtypeStruct((2, keys or tokens, heads, width), dtype)
    return jax.jit(attention).trace(q, k, k).lower(lowering_platforms=(platform,)).as_text()


def calls(program: str) -> list[str]:
    return re.findall(r"stablehlo.custom_call @([\w$.]+)", program)


@pytest.fixture
def hopper(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets JAX believe that a card of compute capability 9.0 is there."""
    monkeypatch.setattr(cudnn, "check_cudnn_version", lambda: 91000)
    monkeypatch.setattr(cudnn, "check_compute_capability", lambda capability: True)
    jax.clear_caches()


@pytest.mark.usefixtures("hopper")
@pytest.mark.parametrize(
    ("tokens", "heads", "width"), [(4096, 8, 40), (4096, 10, 64), (1024, 8, 80), (64, 8, 160)]
)
@pytest.mark.parametrize("keys", [0, 77])
def test_hopper_runs_cudnn(tokens, heads, width, keys):
    program = lowered("cuda", tokens, heads, width, "bfloat16", keys)
    assert calls(program) == [FLASH]
    assert f"{tokens}x{keys or tokens}xf32" not in program


@pytest.mark.usefixtures("hopper")
@pytest.mark.parametrize(
    ("heads", "width", "dtype", "keys"),
    [(1, 512, "bfloat16", 4096), (8, 40, "float32", 4096), (8, 40, "float32", 77)],
)
def test_what_cudnn_does_not_take_stays_with_xla(heads, width, dtype, keys):
    assert calls(lowered("cuda", 4096, heads, width, dtype, keys)) == []


def test_without_cudnn_a_program_for_cuda_is_plain():
    assert calls(lowered("cuda", 1024, 8, 40, "bfloat16")) == []


def test_no_accelerator_writes_the_logits_of_a_large_image():
    for platform in ("cuda", "tpu"):
        assert "16384x16384" not in lowered(platform, 16384, 1, 512, "bfloat16")


@pytest.mark.parametrize(
    ("tokens", "heads", "width"), [(4096, 8, 40), (4096, 2, 64), (1024, 8, 80), (3952, 2, 64)]
)
def test_a_tpu_runs_our_kernel_without_transposes_or_pads(tokens, heads, width):
    program = lowered("tpu", tokens, heads, width, "bfloat16")
    assert calls(program) == ["tpu_custom_call"]
    assert f"tensor<2x{tokens}x{heads * width}xbf16>" in program
    assert "stablehlo.transpose" not in program
    assert "stablehlo.pad" not in program


def test_a_tpu_attends_to_more_keys_by_flash_attention():
    program = lowered("tpu", 16384, 8, 40, "bfloat16")
    assert calls(program) == ["tpu_custom_call"]
    assert "tensor<2x8x16384x128xbf16>" in program


def test_what_no_kernel_takes_stays_with_xla():
    assert calls(lowered("tpu", 4096, 2, 64, "float32")) == []
    assert calls(lowered("tpu", 16448, 8, 40, "bfloat16")) == []  # not whole blocks
    assert calls(lowered("tpu", 16384, 1, 512, "bfloat16")) == []  # too wide


@pytest.mark.parametrize(
    ("sides", "batch", "heads", "share"),
    [
        ((2, 2), 4, 6, (2, 1024, 3, 40)),
        ((1, 2), 4, 6, (4, 1024, 3, 40)),
        ((2, 2), 4, 5, (2, 1024, 5, 40)),  # heads that cannot be split are whole everywhere
        ((4, 1), 3, 5, (3, 1024, 5, 40)),
        ((1, 1), 4, 6, (4, 1024, 6, 40)),
    ],
)
def test_kernels_are_shared_out_over_images_and_heads(sides, batch, heads, share):
    seen = []

    def form(q, k, v):
        seen.append({a.shape for a in (q, k, v)})
        return q + k + v

    split = (IMAGES, None, PARTS, None)
    q = jax.ShapeDtypeStruct((batch, 1024, heads, 40), "bfloat16")
    mesh = AbstractMesh(sides, ("data", "tensor"), axis_types=(AxisType.Auto,) * 2)
    with jax.sharding.use_abstract_mesh(mesh):
        out = jax.eval_shape(shared_kernel(form, (split,) * 3, split), q, q, q)
    assert seen == [{share}]
    assert out.shape == q.shape


def test_without_a_mesh_a_kernel_is_called_as_it_is():
    form = shared_kernel(lambda q: 2 * q, ((IMAGES,),), (IMAGES,))
    np.testing.assert_array_equal(form(np.arange(3)), [0, 2, 4])


def test_the_cpu_runs_two_loops():
    program = lowered("cpu", 4096, 8, 40, "float32")
    assert program.count("stablehlo.while") == 2
    assert "4096x4096" not in program
