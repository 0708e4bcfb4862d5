"""Runs in processes of their own, and compiled steps that are kept for the next run."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

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


@pytest.fixture
def program() -> Iterator[Callable[..., subprocess.Popen]]:
    """`jaxsd` with arguments in a process of its own; what it says is in the file `errors`."""
    begun: list[subprocess.Popen] = []

    def start(*argv: object, errors: Path, **environment: str) -> subprocess.Popen:
        words = [sys.executable, "-c", "from jaxsd.cli.main import run; run()", *map(str, argv)]
        with errors.open("ab") as file:
            begun.append(
                subprocess.Popen(words, env=os.environ | environment, stdout=file, stderr=file)
            )
        return begun[-1]

    yield start
    for process in begun:
        process.kill()
        process.wait()
