"""What every test runs under."""

import os
import re

import jax
import pytest

QUICK = (
    "--xla_backend_optimization_level=0",
    "--xla_llvm_disable_expensive_passes=true",
    "--xla_cpu_use_fusion_emitters=false",
)
"""Tiny networks take long to compile and no time to run. The arithmetic is the same."""

# An axis that is broadcast by accident is an error, not a larger array.
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_enable_x64", False)


def pytest_configure(config: pytest.Config) -> None:
    """Keeps the tests on the processor, and those of `-m gpu` where JAX puts them."""
    if re.search(r"(?<!not )\bgpu\b", config.getoption("markexpr")):
        return
    # In the environment, for the programs that tests start as well.
    os.environ["XLA_FLAGS"] = " ".join((os.environ.get("XLA_FLAGS", ""), *QUICK))
    platform = os.environ.setdefault("JAX_PLATFORMS", "cpu")
    jax.config.update("jax_platforms", platform)
