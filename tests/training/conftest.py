"""Runs in processes of their own, and compiled steps that are kept for the next run."""

from collections.abc import Callable, Iterator

import jax
import pytest
from forked import Forked
from tiny_runs import programs


@pytest.fixture(scope="package", autouse=True)
def compiled_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("compiled")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        jax.config.update("jax_compilation_cache_dir", str(folder))
        yield
        jax.config.update("jax_compilation_cache_dir", None)


@pytest.fixture
def program() -> Iterator[Callable[..., Forked]]:
    with programs() as start:
        yield start
