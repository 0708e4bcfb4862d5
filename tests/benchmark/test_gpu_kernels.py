"""Kernels are counted in a program's text as the compiler writes it."""

from jaxsd.benchmark.gpu_kernels import kernels

PROGRAM = """
HloModule jit_denoise

%fused_add (param_0: bf16[4,8], param_1: bf16[20,8], param_2: s32[]) -> bf16[1,8] {
  %param_0 = bf16[4,8]{1,0} parameter(0)
  %slice.1 = bf16[1,8]{1,0} slice(%param_0), slice={[0:1], [0:8]}
  %param_1 = bf16[20,8]{1,0} parameter(1)
  %param_2 = s32[] parameter(2)
  %constant.1 = s32[] constant(0)
  %dynamic-slice.1 = bf16[1,8]{1,0} dynamic-slice(%param_1, %param_2, %constant.1)
  ROOT %add.1 = bf16[1,8]{1,0} add(%slice.1, %dynamic-slice.1)
}

%fused_reduce (param_0: f32[4,8]) -> (f32[8], f32[8]) {
  %param_0 = f32[4,8]{1,0} parameter(0)
  %constant.2 = f32[] constant(0)
  %reduce.1 = f32[8]{0} reduce(%param_0, %constant.2), dimensions={0}, to_apply=%add
  %reduce.2 = f32[8]{0} reduce(%param_0, %constant.2), dimensions={0}, to_apply=%add
  ROOT %tuple.1 = (f32[8]{0}, f32[8]{0}) tuple(%reduce.1, %reduce.2)
}

%fused_update (param_0: f32[20,8], param_1: f32[1,8], param_2: s32[]) -> f32[20,8] {
  %param_0 = f32[20,8]{1,0} parameter(0)
  %param_1 = f32[1,8]{1,0} parameter(1)
  %param_2 = s32[] parameter(2)
  %constant.3 = s32[] constant(0)
  ROOT %update.1 = f32[20,8]{1,0} dynamic-update-slice(%param_0, %param_1, %param_2, %constant.3)
}

%body (tuple: (s32[], bf16[4,8])) -> (s32[], bf16[4,8]) {
  %tuple = (s32[], bf16[4,8]{1,0}) parameter(0)
  %i = s32[] get-tuple-element(%tuple), index=0
  %x = bf16[4,8]{1,0} get-tuple-element(%tuple), index=1
  %rows = bf16[20,8]{1,0} get-tuple-element(%tuple), index=2
  %float = f32[4,8]{1,0} get-tuple-element(%tuple), index=3
  %all = f32[20,8]{1,0} get-tuple-element(%tuple), index=4
  %one = f32[1,8]{1,0} get-tuple-element(%tuple), index=5
  %w = bf16[8,6]{1,0} get-tuple-element(%tuple), index=6
  %fusion.1 = bf16[1,8]{1,0} fusion(%x, %rows, %i), kind=kLoop, calls=%fused_add
  %fusion.2 = (f32[8]{0}, f32[8]{0}) fusion(%float), kind=kInput, calls=%fused_reduce
  %fusion.3 = f32[20,8]{1,0} fusion(%all, %one, %i), kind=kLoop, calls=%fused_update
  %dot.1 = (bf16[4,6]{1,0}, s8[33554432]{0}) custom-call(%x, %w), \
custom_call_target="__cublas$lt$matmul", backend_config={"gemm_backend_config":\
{"dot_dimension_numbers":{"lhs_contracting_dimensions":["1"]}}}
  %image = bf16[2,5,5,4]{3,2,1,0} get-tuple-element(%tuple), index=7
  %kernel = bf16[6,3,3,4]{3,2,1,0} get-tuple-element(%tuple), index=8
  %conv.1 = (bf16[2,5,5,6]{3,2,1,0}, u8[0]{0}) custom-call(%image, %kernel), \
window={size=3x3 pad=1_1x1_1}, dim_labels=b01f_o01i->b01f, \
custom_call_target="__cudnn$convBiasActivationForward"
  %q = bf16[2,16,8,40]{3,2,1,0} get-tuple-element(%tuple), index=9
  %k = bf16[2,7,8,40]{3,2,1,0} get-tuple-element(%tuple), index=10
  %fmha.1 = (bf16[2,8,16,40]{3,1,2,0}, u8[0]{0}) custom-call(%q, %k, %k), \
custom_call_target="__cudnn$fmhaSoftmax"
  %all-reduce-start = f32[4,8]{1,0} all-reduce-start(%float), to_apply=%add
  %all-reduce-done = f32[4,8]{1,0} all-reduce-done(%all-reduce-start)
  %copy.1 = f32[4,8]{0,1} copy(%float)
  ROOT %tuple.2 = (s32[], bf16[4,8]{1,0}) tuple(%i, %x)
}

ENTRY %main (x: bf16[4,8]) -> bf16[4,8] {
  %x.1 = bf16[4,8]{1,0} parameter(0)
  %copy.9 = bf16[4,8]{1,0} copy(%x.1)
  %while.1 = (s32[], bf16[4,8]{1,0}) while(%tuple.3), condition=%condition, body=%body
  ROOT %x.2 = bf16[4,8]{1,0} get-tuple-element(%while.1), index=1
}
"""


def test_kernels_of_the_loop_are_counted_by_kind() -> None:
    assert kernels(PROGRAM).counts == {
        "fusions": 2,
        "fusions that reduce": 1,
        "products": 1,
        "convolutions": 1,
        "flash attentions": 1,
        "all-reduce": 1,
        "copies": 1,
    }


def test_bytes_of_what_is_sliced_are_those_of_the_slices() -> None:
    added = 16 + 16 + 4 + 16  # of the two slices, the row's number and the sum
    reduced = 128 + 2 * 32
    updated = 2 * 32 + 32 + 4  # the row is written, and read as an operand
    moved = 2 * 128 + 2 * 128  # by the collective and the copy
    assert kernels(PROGRAM).fused == added + reduced + updated + moved


def test_operations_and_bytes_of_calls_leave_out_their_workspace() -> None:
    product, convolution = 2 * 4 * 6 * 8, 2 * (2 * 5 * 5 * 6) * (3 * 3 * 4)
    attention = 2 * 2 * (2 * 8) * 16 * 7 * 40  # logits and values
    found = kernels(PROGRAM)
    assert found.flops == product + convolution + attention
    operands = (4 * 8 + 8 * 6) + (2 * 25 * 4 + 6 * 9 * 4) + (16 + 2 * 7) * 2 * 8 * 40
    results = 4 * 6 + 2 * 25 * 6 + 2 * 8 * 16 * 40
    assert found.called == 2 * (operands + results)


def test_a_program_without_a_loop_counts_as_a_whole() -> None:
    entry = PROGRAM.replace(" while(%tuple.3)", " all-gather(%copy.9)")
    found = kernels(entry)
    assert found.counts == {"copies": 1, "all-gather": 1}
    assert (found.flops, found.called) == (0, 0)
