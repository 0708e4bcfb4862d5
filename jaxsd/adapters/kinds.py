"""Kinds of adapters: a table of functions from a kernel's factors to the change of the kernel.

LoRA's factors have our axes (`jaxsd.adapters.lora`). The factors of all other kinds have PyTorch's,
as their files do: [out, in] of a dense kernel, [out, in, h, w] of a convolution.
"""

from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxsd.adapters.multiplied import (
    Factors,
    butterfly,
    by_inputs,
    by_outputs,
    einsum,
    float32,
    general,
    orthogonal,
)
from jaxsd.types import Array

Shape = tuple[int, ...]

_EPSILON = 2.0**-23
"""Added to norms, as in LyCORIS."""


class Kind(NamedTuple):
    """A way to write a change of a kernel.

    Attributes:
      forms: the sets of factors that are complete.
      change: (factors, kernel in float32, scale) -> what is to be added to the kernel.
      rank: of factors; None where there is none, so that alpha has no effect.
    """

    forms: tuple[frozenset[str], ...]
    change: Callable[[Factors, Array, float | Array], Array]
    rank: Callable[[Factors], int | None]


def low_rank(factors: Factors, shape: Shape) -> Array:
    """The product of `down` and `up` (Hu et al. 2021, arXiv:2106.09685); of convolutions LoCon.

    With `mid` it is the Tucker decomposition of LyCORIS (Yeh et al. 2023, arXiv:2309.14859).
    """
    down, up = (float32(factors[name]) for name in ("down", "up"))
    up = up.reshape(up.shape[-2:])
    if "mid" not in factors:
        return einsum("...ir,ro->...io", down, up)
    return einsum("ir,hwrs,so->hwio", down[0, 0], float32(factors["mid"]), up)


def hadamard(factors: Factors, shape: Shape) -> Array:
    """LoHa: the elementwise product of two low-rank matrices (Hyeon-Woo et al. 2022, FedPara)."""
    halves = [
        _rebuilt(factors, f"hada_w{n}_a", f"hada_w{n}_b", f"hada_t{n}", _torch_shape(shape))
        for n in (1, 2)
    ]
    return _ours(halves[0] * halves[1], shape)


def kronecker(factors: Factors, shape: Shape) -> Array:
    """LoKr: the Kronecker product of two matrices, each whole or of low rank (LyCORIS)."""
    outputs, inputs, *window = _torch_shape(shape)
    first = _half(factors, "1", ())
    a, c = first.shape[:2]
    second = _half(factors, "2", (outputs // a, inputs // c, *window))
    product = einsum("ac,bd...->abcd...", first.reshape(a, c), second)
    return _ours(product.reshape(_torch_shape(shape)), shape)


def _half(factors: Factors, n: str, shape: Shape) -> Array:
    if f"lokr_w{n}" in factors:
        return float32(factors[f"lokr_w{n}"])
    return _rebuilt(factors, f"lokr_w{n}_a", f"lokr_w{n}_b", f"lokr_t{n}", shape)


def difference(factors: Factors, shape: Shape) -> Array:
    """The change as it is, of a kernel, a bias or the scale of a norm."""
    return _ours(float32(factors["diff"]), shape)


def _rebuilt(factors: Factors, a: str, b: str, t: str, shape: Shape) -> Array:
    """The product a @ b, or with a core t [r, s, h, w] Tucker's; a is then [r, out]."""
    left, right = float32(factors[a]), float32(factors[b])
    if t in factors:
        return einsum("rshw,ro,si->oihw", float32(factors[t]), left, right)
    product = einsum("or,ri->oi", left, right.reshape(len(right), -1))
    return product.reshape(shape) if shape else product


def _scaled(change: Callable[[Factors, Shape], Array]) -> Callable[..., Array]:
    """The `change` of a kind that does not look at the kernel's values."""
    return lambda factors, kernel, scale: scale * change(factors, kernel.shape)


def _rank_of(*names: str) -> Callable[[Factors], int | None]:
    return lambda factors: next((factors[n].shape[0] for n in names if n in factors), None)


def _forms(*forms: str) -> tuple[frozenset[str], ...]:
    return tuple(frozenset(form.split()) for form in forms)


KINDS: dict[str, Kind] = {
    "LoRA": Kind(_forms("down up", "down mid up"), _scaled(low_rank), lambda f: f["up"].shape[-2]),
    "LoHa": Kind(
        _forms(
            "hada_w1_a hada_w1_b hada_w2_a hada_w2_b",
            "hada_w1_a hada_w1_b hada_t1 hada_w2_a hada_w2_b hada_t2",
        ),
        _scaled(hadamard),
        _rank_of("hada_w1_b"),
    ),
    "LoKr": Kind(
        _forms(
            *(
                f"{first} {second}"
                for first in ("lokr_w1", "lokr_w1_a lokr_w1_b")
                for second in ("lokr_w2", "lokr_w2_a lokr_w2_b", "lokr_w2_a lokr_w2_b lokr_t2")
            )
        ),
        _scaled(kronecker),
        _rank_of("lokr_w2_b", "lokr_w1_b"),
    ),
    "GLoRA": Kind(
        _forms("a1.weight a2.weight b1.weight b2.weight"), general, _rank_of("a2.weight")
    ),
    "OFT": Kind(_forms("oft_blocks", "oft_blocks rescale"), orthogonal, _rank_of()),
    "BOFT": Kind(_forms("boft_blocks", "boft_blocks rescale"), butterfly, _rank_of()),
    "IA3 of outputs": Kind(_forms("outputs"), by_outputs, _rank_of()),
    "IA3 of inputs": Kind(_forms("inputs"), by_inputs, _rank_of()),
    "difference": Kind(_forms("diff"), _scaled(difference), _rank_of()),
}
"""Every kind by its name. Other factors than these are `alpha` and `magnitude`."""


def kind_of(roles: Collection[str]) -> str | None:
    """The kind whose factors are complete; None if there is none."""
    own = frozenset(roles) - {"alpha", "magnitude"}
    return next((name for name, kind in KINDS.items() if own in kind.forms), None)


def changed(kernel: Array, factors: Mapping[str, Array], scale: float | Array) -> Array:
    """The kernel with the change of an adapter; mostly W + scale * alpha / rank * change.

    Computed in float32 and cast to the dtype of the kernel. With `magnitude` the change is that of
    DoRA (Liu et al. 2024, arXiv:2402.09353): W' = m * (W + change) / |W + change|, where norms are
    over all axes but that of m, and `scale` weights W' - W, as in webui and ComfyUI.

    Raises:
      ValueError: the factors are of a kernel of another shape.
    """
    kind, before = KINDS[kind_of(factors)], jnp.asarray(kernel, jnp.float32)
    rank, own = kind.rank(factors), 1.0
    if rank is not None:
        own = jax.lax.stop_gradient(float32(factors["alpha"])) / rank
    change = kind.change(factors, before, own if "magnitude" in factors else scale * own)
    if change.shape != kernel.shape:
        raise ValueError(
            f"is for a kernel {list(change.shape)}, the model's is {list(kernel.shape)}"
        )
    if "magnitude" not in factors:
        return (before + change).astype(kernel.dtype)
    after = before + change
    magnitude = float32(factors["magnitude"])  # [out], or [in, 1] of LyCORIS's old files
    axes = set(range(kernel.ndim)) - {kernel.ndim - magnitude.ndim}
    norm = jnp.sqrt(jnp.sum(after**2, tuple(axes), keepdims=True)) + _EPSILON
    after *= jnp.broadcast_to(magnitude, kernel.shape) / norm
    return (before + scale * (after - before)).astype(kernel.dtype)


def _ours(change: Array, shape: Shape) -> Array:
    """A change in PyTorch's axes in those of a kernel of that shape."""
    if change.ndim == 4 and len(shape) == 4:
        return change.transpose(2, 3, 1, 0)
    if change.ndim >= 2 and len(shape) == 2 and set(change.shape[2:]) <= {1}:
        return change.reshape(change.shape[:2]).T
    return change


def _torch_shape(shape: Shape) -> Shape:
    return (shape[-1], shape[-2], *shape[:-2])
