"""What accelerators are given for attention, by lowering for them on a CPU."""

import re

import jax
import numpy as np
import pytest
from jax._src.cudnn import fused_attention_stablehlo as cudnn
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxsd.nn import tpu_attention
from jaxsd.nn.attention import attention

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


@pytest.mark.parametrize("width", [40, 64])
def test_a_tpu_runs_flash_from_4096_tokens(width):
    program = lowered("tpu", 4096, 2, width, "bfloat16")
    assert calls(program) == ["tpu_custom_call"]
    assert "4096x4096xf32" not in program
    assert calls(lowered("tpu", 1024, 2, width, "bfloat16")) == []
    assert calls(lowered("tpu", 4096, 2, width, "float32")) == []
    assert calls(lowered("tpu", 4160, 2, width, "bfloat16")) == []  # not whole blocks


def test_flash_is_shared_out_over_images_and_heads():
    devices = np.array(jax.devices() * 4)[:4].reshape(2, 2)
    mesh = Mesh(devices, ("data", "tensor"))

    class Argument:
        sharding = NamedSharding(mesh, PartitionSpec("data", None, "tensor"))

    _, local, result, arguments = tpu_attention._partition(mesh, (Argument,) * 3, None)
    assert result.spec == PartitionSpec("data", None, "tensor", None)
    assert [argument.spec for argument in arguments] == [result.spec] * 3
    assert local is tpu_attention._flash


def test_the_cpu_runs_two_loops():
    program = lowered("cpu", 4096, 8, 40, "float32")
    assert program.count("stablehlo.while") == 2
    assert "4096x4096" not in program
