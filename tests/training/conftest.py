"""Compiled steps are kept: every run makes its own, and many of them are the same program."""

from collections.abc import Iterator

import jax
import pytest


@pytest.fixture(scope="package", autouse=True)
def compiled_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("compiled")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        jax.config.update("jax_compilation_cache_dir", str(folder))
        yield
        jax.config.update("jax_compilation_cache_dir", None)
