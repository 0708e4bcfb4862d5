"""What the processor of this machine can do, where it decides what is computed."""

from functools import cache
from pathlib import Path

_FLAGS = {"avx512_bf16", "amx_bf16"}


@cache
def multiplies_bfloat16() -> bool:
    """Whether the processor adds products of bfloat16 up in float32 (AVX512_BF16 or AMX).

    Such products were twice as fast there as those of float32. Elsewhere they took 1.4 times as
    long as when both operands were made float32 first, which is what XLA does if it is asked for a
    bfloat16 result.
    """
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    return any(line.startswith("flags") and _FLAGS & set(line.split()) for line in lines)
