"""Kinds of adapters that multiply a kernel, where others add to it: OFT, BOFT, GLoRA, IA3.

Each function gives what is to be added: (factors, kernel, scale) -> W' - W, float32. Kernels have
our axes, outputs last; factors those of their files, outputs first.
"""

import jax
import jax.numpy as jnp

from jaxsd.types import Array

Factors = dict[str, Array]
"""Role -> array: the factors of one kernel, `alpha` and, with DoRA, `magnitude`."""


def orthogonal(factors: Factors, kernel: Array, scale: float | Array) -> Array:
    """OFT (Qiu et al. 2023, arXiv:2306.07280): blocks [k, s, s] turn groups of s outputs.

    A strength weights the whole of W' - W.
    """
    turns = _turns(factors, "oft_blocks", kernel.shape[-1])
    size = turns.shape[-1]
    grouped = kernel.reshape(*kernel.shape[:-1], -1, size)
    change = einsum("knm,...kn->...km", turns - _one(turns), grouped).reshape(kernel.shape)
    if "rescale" in factors:
        rescale = _along(factors["rescale"], kernel, -1)
        change = rescale * change + (rescale - 1) * kernel
    return scale * change


def butterfly(factors: Factors, kernel: Array, scale: float | Array) -> Array:
    """BOFT (Liu et al. 2024, arXiv:2311.06243): blocks [m, k, s, s], m stages of turns.

    Stage i turns groups of outputs that are 2^i s / 2 apart. A strength draws each stage to the
    identity, as in LyCORIS.
    """
    turns = _turns(factors, "boft_blocks", kernel.shape[-1])
    size, after = turns.shape[-1], kernel
    turns = turns * scale + (1 - scale) * _one(turns)
    for stage, own in enumerate(turns):
        apart = 2**stage * size // 2
        split = after.reshape(*kernel.shape[:-1], -1, 2, apart).swapaxes(-1, -2)
        turned = einsum("kij,...kj->...ki", own, split.reshape(*kernel.shape[:-1], -1, size))
        after = turned.reshape(split.shape).swapaxes(-1, -2).reshape(kernel.shape)
    if "rescale" in factors:
        rescale = _along(factors["rescale"], kernel, -1)
        after = after * (1 + scale * (rescale - 1))
    return after - kernel


def _turns(factors: Factors, role: str, outputs: int) -> Array:
    """Cayley's rotations (I + Q) (I - Q)^-1 of Q = B - B^T.

    With alpha, all Q together have at most the length alpha times the number of outputs.
    """
    blocks = float32(factors[role])
    skew = blocks - blocks.swapaxes(-1, -2)
    if "alpha" in factors:
        most = float32(factors["alpha"]) * outputs
        length = jnp.sqrt(jnp.sum(skew**2)) + 1e-8
        skew *= jnp.where((most > 0) & (length > most), most / length, 1)
    one = _one(blocks)
    return jnp.linalg.solve(one - skew, one + skew)


def general(factors: Factors, kernel: Array, scale: float | Array) -> Array:
    """GLoRA (Chavan et al. 2023, arXiv:2306.07967), as LyCORIS has it: W a1 a2 + b1 b2."""
    a1, a2, b1, b2 = (float32(factors[f"{name}.weight"]) for name in ("a1", "a2", "b1", "b2"))
    product = einsum("ir,rj->ij", a1.reshape(a1.shape[:2]), a2.reshape(a2.shape[:2]))
    added = einsum("or,ri...->...io", b1.reshape(b1.shape[:2]), b2)
    return scale * (einsum("...io,ij->...jo", kernel, product) + added.reshape(kernel.shape))


def by_inputs(factors: Factors, kernel: Array, scale: float | Array) -> Array:
    """IA3 (Liu et al. 2022, arXiv:2205.05638): a factor 1 + w for each input."""
    return scale * kernel * _along(factors["inputs"], kernel, -2)


def by_outputs(factors: Factors, kernel: Array, scale: float | Array) -> Array:
    """The same for each output."""
    return scale * kernel * _along(factors["outputs"], kernel, -1)


def _one(blocks: Array) -> Array:
    return jnp.broadcast_to(jnp.eye(blocks.shape[-1]), blocks.shape)


def _along(factor: Array, kernel: Array, axis: int) -> Array:
    """One number for each input or output, in the rank of the kernel."""
    sides = [1] * kernel.ndim
    sides[axis] = kernel.shape[axis]
    return float32(factor).reshape(sides)


def float32(array: Array) -> Array:
    """A factor as it is computed with."""
    return jnp.asarray(array, jnp.float32)


def einsum(spec: str, *operands: Array) -> Array:
    """Sums of products in whole float32: by default, devices round the operands to fewer bits."""
    return jnp.einsum(spec, *operands, precision=jax.lax.Precision.HIGHEST)
