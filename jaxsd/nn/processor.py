"""What the processor of this machine can do, where that decides how to compute."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path

import jax

_TRACED_FOR: ContextVar[str | None] = ContextVar("_TRACED_FOR", default=None)


@contextmanager
def traced_for(platform: str) -> Iterator[None]:
    """Within it, programs are traced for devices of a platform that are not here."""
    before = _TRACED_FOR.set(platform)
    try:
        yield
    finally:
        _TRACED_FOR.reset(before)


def platform_traced_for() -> str:
    """The platform whose programs are traced: "cpu", "cuda", "tpu" and others of JAX's.

    Products, which rematerialisation has to see, and norms, which are many to trace, are chosen by
    it. Other forms are chosen by `jax.lax.platform_dependent`, when a program is lowered.
    """
    platform = _TRACED_FOR.get() or jax.default_backend()
    return "cuda" if platform == "gpu" else platform


def multiplies_bfloat16() -> bool:
    """Whether the processor accumulates products of bfloat16 in float32 (AVX512_BF16 or AMX).

    There such products were twice as fast as those of float32. Elsewhere they took 1.4 times as
    long as when both operands were converted to float32 first, which XLA does for a bfloat16
    result. Programs of other devices do not depend on the processor beside them.
    """
    return platform_traced_for() == "cpu" and bool({"avx512_bf16", "amx_bf16"} & _flags())


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
