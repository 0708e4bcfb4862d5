"""What the processor of this machine can do, where that decides how to compute."""

from functools import cache
from pathlib import Path


def multiplies_bfloat16() -> bool:
    """Whether the processor accumulates products of bfloat16 in float32 (AVX512_BF16 or AMX).

    There such products were twice as fast as those of float32. Elsewhere they took 1.4 times as
    long as when both operands were converted to float32 first, which XLA does for a bfloat16
    result.
    """
    return bool({"avx512_bf16", "amx_bf16"} & _flags())


def has_avx512() -> bool:
    """Whether vectors are of 512 bits (AVX-512): products are faster, and memory is not."""
    return "avx512f" in _flags()


@cache
def _flags() -> frozenset[str]:
    """Names that Linux gives to what the processor can do; none where it is not known."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return frozenset()
    return frozenset(next((line for line in lines if line.startswith("flags")), "").split())
