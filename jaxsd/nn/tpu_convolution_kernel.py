"""A 3x3 convolution as one kernel of Pallas: nine products of pixels in a TPU's vector memory."""

import math
from functools import partial

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from jaxsd.nn.tpu_blocks import LIMIT, block_of_outputs, block_of_rows, rows_at_a_time
from jaxsd.types import Array


def kernel_convolution(x: Array, kernel: Array, *, interpret: bool = False) -> Array:
    """A 3x3 convolution of stride 1, padded by one; nothing is padded or copied in memory.

    A block is some rows of the map with all their channels; the row above and the row below come
    as blocks of their own. Taps of one column of the kernel are summed first, and the three sums
    are shifted, since a shifted sum costs less than a shifted input.

    Args:
      x: [B, h, w, c]; `convolves` says which.
      kernel: [3, 3, c, channels], dtype of `x`.
      interpret: run by JAX's operations, on any device.

    Returns:
      [B, h, w, channels], dtype of `x`.
    """
    batch, height, width, channels = x.shape
    outputs = kernel.shape[-1]
    lanes = block_of_outputs(channels, outputs)
    rows = block_of_rows(height, width, channels, outputs)
    many = rows_at_a_time(rows, width, channels, lanes)
    form = partial(_convolve_rows, width, many * width)
    if many == height:
        form = partial(_convolve_map, width)
    parts, blocks = math.ceil(outputs / lanes), height // rows

    def row(at: Array) -> Array:
        return jnp.clip(at, 0, height - 1)

    flat = x.reshape(batch, height * width, channels)
    here = pl.BlockSpec((1, rows * width, channels), lambda o, b, i: (b, i, 0))
    above = pl.BlockSpec((1, width, channels), lambda o, b, i: (b, row(i * rows - 1), 0))
    below = pl.BlockSpec((1, width, channels), lambda o, b, i: (b, row((i + 1) * rows), 0))
    # All of a small kernel stays where it is, so it needs no second buffer.
    buffers = pl.Buffered(1 if parts == 1 else 2)
    taps = pl.BlockSpec(
        (3, 3, channels, lanes), lambda o, b, i: (0, 0, 0, o), pipeline_mode=buffers
    )
    if parts > 1 and not interpret:
        # The next part is fetched in the meantime; XLA would copy the whole kernel first.
        kernel = pltpu.with_memory_space_constraint(kernel, pltpu.HBM)
    read = parts * batch * blocks * (rows + 2) * width * channels
    out = pl.pallas_call(
        form,
        grid=(parts, batch, blocks),
        in_specs=[here, above, below, taps],
        out_specs=pl.BlockSpec((1, rows * width, lanes), lambda o, b, i: (b, i, o)),
        out_shape=jax.ShapeDtypeStruct((batch, height * width, outputs), x.dtype),
        compiler_params=pltpu.CompilerParams(
            dimension_semantics=("parallel",) * 3, vmem_limit_bytes=LIMIT
        ),
        cost_estimate=pl.CostEstimate(
            flops=2 * 9 * batch * height * width * channels * outputs,
            transcendentals=0,
            bytes_accessed=(read + kernel.size + x.size // channels * outputs) * x.dtype.itemsize,
        ),
        interpret=interpret,
    )(flat, flat, flat, kernel)
    return out.reshape(batch, height, width, outputs)


def _convolve_map(
    width: int, x: Array, above: Array, below: Array, taps: Array, out: Array
) -> None:
    """A whole map at once; references as in `_convolve_rows`, of which two are not needed."""
    zeros = jnp.zeros((width, x.shape[2]), jnp.float32)
    # In float32, since eight pixels are a tile there, and half of one in bfloat16.
    rows = jnp.concatenate([zeros, x[0].astype(jnp.float32), zeros])
    out[0] = _products(width, rows, taps).astype(out.dtype)


def _convolve_rows(
    width: int, many: int, x: Array, above: Array, below: Array, taps: Array, out: Array
) -> None:
    """One block, some pixels of it at a time.

    Args:
      width: pixels of a row.
      many: pixels at a time.
      x: reference to [1, pixels, c].
      above: to the row before, [1, width, c].
      below: to the row after, [1, width, c].
      taps: to the kernel, [3, 3, c, lanes].
      out: to the result, [1, pixels, lanes].
    """
    block, blocks = pl.program_id(2), pl.num_programs(2)
    end = x.shape[1] - width

    def row(at: Array, inside: Array, beyond: Array, outside: Array) -> Array:
        """A row of the block, of what lies beyond it, or of zeros outside of the map."""
        own = x[0, pl.ds(pl.multiple_of(jnp.clip(at, 0, end), width), width)]
        other = jnp.where(outside, 0, beyond[0].astype(jnp.float32))
        return jnp.where(inside, own.astype(jnp.float32), other).astype(x.dtype)

    def some(i: Array, _: None) -> None:
        here = pl.ds(pl.multiple_of(i * many, many), many)
        before, after = i * many - width, (i + 1) * many
        rows = jnp.concatenate(
            [
                row(before, before >= 0, above, block == 0),
                x[0, here],
                row(after, after <= end, below, block == blocks - 1),
            ]
        )
        out[0, here] = _products(width, rows, taps).astype(out.dtype)

    jax.lax.fori_loop(0, x.shape[1] // many, some, None)


def _products(width: int, rows: Array, taps: Array) -> Array:
    """Rows of pixels, with one more on each side, to sums [pixels, lanes] float32."""
    pixels = len(rows) - 2 * width
    above_to_below = [rows[i * width : i * width + pixels].astype(taps.dtype) for i in range(3)]
    left, middle, right = (
        sum(
            jnp.dot(some, taps[i, j], preferred_element_type=jnp.float32)
            for i, some in enumerate(above_to_below)
        )
        for j in range(3)
    )
    column = jax.lax.broadcasted_iota(jnp.int32, middle.shape, 0) % width
    left = jnp.where(column == 0, 0, pltpu.roll(left, 1, 0))
    right = jnp.where(column == width - 1, 0, pltpu.roll(right, pixels - 1, 0))
    return left + middle + right
