"""JAX's devices when a program ends: whether there are any, and whether they are done."""

from contextlib import suppress

import jax


def has_devices() -> bool:
    """Whether JAX has the devices that the environment tells it to use."""
    try:
        return bool(jax.devices())
    except (RuntimeError, AssertionError):  # which of them depends on who asked before
        return False


def settle() -> None:
    """Waits for programs that still run: a process that ends under one can crash.

    Of several hosts none waits, since the others may never do their part.
    """
    arrays = jax.live_arrays() if has_devices() and jax.process_count() == 1 else ()
    for array in arrays:
        with suppress(RuntimeError):  # its program failed, or a later one took its memory
            array.block_until_ready()
