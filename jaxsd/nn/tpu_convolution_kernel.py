"""A 3x3 convolution as one kernel of Pallas: nine products of pixels in a TPU's vector memory."""

from functools import partial

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from jaxsd.nn.tpu_blocks import block_of_outputs, block_of_rows, rows_at_a_time
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
    parts, blocks = pl.cdiv(outputs, lanes), height // rows

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
    read = parts * batch * blocks * (rows + 2) * width * channels
    out = pl.pallas_call(
        partial(_convolve, width, many * width),
        grid=(parts, batch, blocks),
        in_specs=[here, above, below, taps],
        out_specs=pl.BlockSpec((1, rows * width, lanes), lambda o, b, i: (b, i, o)),
        out_shape=jax.ShapeDtypeStruct((batch, height * width, outputs), x.dtype),
        compiler_params=pltpu.CompilerParams(dimension_semantics=("parallel",) * 3),
        cost_estimate=pl.CostEstimate(
            flops=2 * 9 * batch * height * width * channels * outputs,
            transcendentals=0,
            bytes_accessed=(read + kernel.size + x.size // channels * outputs) * x.dtype.itemsize,
        ),
        interpret=interpret,
    )(flat, flat, flat, kernel)
    return out.reshape(batch, height, width, outputs)


def _convolve(
    width: int, many: int, x: Array, above: Array, below: Array, taps: Array, out: Array
) -> None:
    """One block, so many pixels at a time; references to [1, pixels, c], twice [1, width, c],
    [3, 3, c, lanes] and the result [1, pixels, lanes].
    """
    block, blocks = pl.program_id(2), pl.num_programs(2)
    end = x.shape[1] - width

    def row(beyond: Array, inside: Array, at: Array, outside: Array) -> Array:
        """A row of the block, of what lies beyond it, or of zeros outside of the map."""
        own = x[0, pl.ds(pl.multiple_of(jnp.clip(at, 0, end), width), width)]
        other = jnp.where(outside, 0, beyond[0].astype(jnp.float32))
        return jnp.where(inside, own.astype(jnp.float32), other).astype(x.dtype)

    def some(i: Array, _: None) -> None:
        first = pl.multiple_of(i * many, many)
        before, after = first - width, first + many
        rows = jnp.concatenate(
            [
                row(above, before >= 0, before, block == 0),
                x[0, pl.ds(first, many)],
                row(below, after <= end, after, block == blocks - 1),
            ]
        )
        left, middle, right = (
            sum(
                jnp.dot(
                    rows[k * width : k * width + many],
                    taps[k, j],
                    preferred_element_type=jnp.float32,
                )
                for k in range(3)
            )
            for j in range(3)
        )
        column = jax.lax.broadcasted_iota(jnp.int32, middle.shape, 0) % width
        left = jnp.where(column == 0, 0, pltpu.roll(left, 1, 0))
        right = jnp.where(column == width - 1, 0, pltpu.roll(right, many - 1, 0))
        out[0, pl.ds(first, many)] = (left + middle + right).astype(out.dtype)

    jax.lax.fori_loop(0, x.shape[1] // many, some, None)
