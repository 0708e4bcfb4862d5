"""What is read off the text of compiled programs."""

import jax
import jax.numpy as jnp
import pytest

from jaxsd.benchmark.traffic import estimated_cycles, memory_traffic, operations

TEXT = """\
HloModule jit_f, is_scheduled=true

%add.1 (a: f32[], b: f32[]) -> f32[] {
  %a = f32[] parameter(0)
  %b = f32[] parameter(1)
  ROOT %add.2 = f32[]{:T(128)} add(%a, %b)
}

%fused (p: bf16[8,128]) -> f32[8,128] {
  %p = bf16[8,128]{1,0} parameter(0)
  ROOT %convert = f32[8,128]{1,0} convert(%p)
}

%body (t: (s32[], f32[8,128])) -> (s32[], f32[8,128]) {
  %t = (s32[]{:T(128)}, f32[8,128]{1,0}) parameter(0)
  %x = f32[8,128]{1,0:T(8,128)} get-tuple-element(%t), index=1
  %near = f32[8,128]{1,0:T(8,128)S(1)} negate(%x), backend_config={"estimated_cycles":"20"}
  ROOT %r = (s32[]{:T(128)}, f32[8,128]{1,0}) tuple(%x, %near)
}

ENTRY %main (w: bf16[3,8,128]) -> f32[8,128] {
  %w = bf16[3,8,128]{2,1,0:T(8,128)(2,1)} parameter(0)
  %s = ((bf16[3,8,128]{2,1,0}), bf16[1,8,128]{2,1,0:S(1)}, s32[]{:S(2)}) slice-start(%w)
  %d = bf16[1,8,128]{2,1,0:T(8,128)(2,1)S(1)} slice-done(%s)
  %f = f32[8,128]{1,0} fusion(%d), calls=%fused, backend_config={"estimated_cycles":"300"}
  %m = (s32[]{:T(128)}, f32[8,128]{1,0}) tuple(%f, %f)
  %l = (s32[]{:T(128)}, f32[8,128]{1,0}) while(%m), condition=%c, body=%body
  %n = f32[]{:S(1)} reduce(%d, %d), dimensions={0,1}, to_apply=%add.1
  %h = bf16[8,128]{1,0:T(8,128)(2,1)} copy(%d)
  ROOT %o = f32[8,128]{1,0} get-tuple-element(%l), index=1
}
"""


def test_what_stays_inside_the_chip_does_not_count() -> None:
    slice_read, fusion_written, negate_read, copied = 2048, 4096, 4096, 2048
    assert memory_traffic(TEXT) == slice_read + fusion_written + negate_read + copied


def test_an_array_that_is_given_three_times_is_read_once() -> None:
    text = """\
ENTRY %main (x: bf16[8,128]) -> bf16[8,128] {
  %x = bf16[8,128]{1,0:T(8,128)(2,1)} parameter(0)
  %b = bf16[1,8,128]{2,1,0:T(8,128)(2,1)} bitcast(%x)
  %c = bf16[8,1,128]{2,1,0:T(8,128)(2,1)} bitcast(%b)
  ROOT %k = bf16[8,128]{1,0:T(8,128)(2,1)} custom-call(%x, %b, %c), custom_call_target="kernel"
}
"""
    assert memory_traffic(text) == 2 * 2048


def test_what_is_fused_is_no_operation() -> None:
    kinds = [one.kind for one in operations(TEXT)]
    assert kinds.count("negate") == 1
    assert "convert" not in kinds
    assert "add" not in kinds


def test_cycles_are_summed() -> None:
    assert estimated_cycles(TEXT) == 320


@pytest.mark.parametrize("width", [64, 256])
def test_a_product_reads_its_operands_and_writes_its_result(width: int) -> None:
    shape = jax.ShapeDtypeStruct((width, width), jnp.float32)
    compiled = jax.jit(lambda x, y: x @ y).lower(shape, shape).compile()
    assert memory_traffic(compiled.as_text()) == 3 * 4 * width**2
    assert estimated_cycles(compiled.as_text()) == 0
