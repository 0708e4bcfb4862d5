"""What every test runs under."""

import gc
import os
import re

import jax
import pytest

QUICK = (
    "--xla_backend_optimization_level=0",
    "--xla_llvm_disable_expensive_passes=true",
    "--xla_cpu_parallel_codegen_split_count=1",
    # Later versions have one kind of loops only, and no such flag: they end at one they don't know.
    *(("--xla_cpu_use_fusion_emitters=false",) if jax.__version_info__ < (0, 11) else ()),
)
"""Tiny networks take long to compile and no time to run. The arithmetic is the same."""

# An axis that is broadcast by accident is an error, not a larger array.
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_enable_x64", False)


def pytest_configure(config: pytest.Config) -> None:
    """Keeps the tests on the processor, and those of `-m gpu` where JAX puts them."""
    _share_cores()
    if re.search(r"(?<!not )\bgpu\b", config.getoption("markexpr")):
        return
    # In the environment, for the programs that tests start as well.
    os.environ["XLA_FLAGS"] = " ".join((os.environ.get("XLA_FLAGS", ""), *QUICK))
    platform = os.environ.setdefault("JAX_PLATFORMS", "cpu")
    jax.config.update("jax_platforms", platform)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first, so that no worker waits at the end for another."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def pytest_collection_finish() -> None:
    """Modules stay to the end, and tracing makes many objects: searching all of them for garbage
    again and again would take a seventh of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000)


def _share_cores() -> None:
    """Each worker of pytest-xdist has its own cores, and so do the programs that it starts.

    Else each starts threads for all of them, which wait for each other: a tenth of the time.
    """
    if not hasattr(os, "sched_setaffinity") or "PYTEST_XDIST_WORKER" not in os.environ:
        return
    worker = int(os.environ["PYTEST_XDIST_WORKER"].removeprefix("gw"))
    own = sorted(os.sched_getaffinity(0))[worker :: int(os.environ["PYTEST_XDIST_WORKER_COUNT"])]
    if own:
        os.sched_setaffinity(0, own)
