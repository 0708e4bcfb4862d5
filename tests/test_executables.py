"""Programs that are loaded in place of being compiled, and those that are not."""

import ctypes
import errno
import json
import os
import pickle
import platform
from functools import partial, reduce
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsd import executables
from jaxsd.executables import Executables
from jaxsd.types import Array


class Request(NamedTuple):
    x: Array
    keys: Array


TRACED = []
X = np.arange(6, dtype=np.float32).reshape(2, 3)


@partial(jax.jit, static_argnames=("power",))
def work(power: int, params: dict[str, Array], request: Request) -> dict[str, Array]:
    TRACED.append(request.x.shape)
    noise = jax.vmap(lambda key: jax.random.normal(key, request.x.shape[1:]))(request.keys)
    return {"y": params["w"] * (request.x + noise) ** power}


def arguments(x: Array = X) -> dict[str, object]:
    keys = jax.vmap(jax.random.key)(np.arange(len(x), dtype=np.uint32))
    return {"params": {"w": jnp.float32(2)}, "request": Request(x, keys)}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(executables, "PATIENCE", 1000.0)
    work.clear_cache()
    TRACED.clear()
    return tmp_path / "programs"


def test_a_second_process_neither_traces_nor_compiles(folder):
    want = np.asarray(work(2, **arguments())["y"])
    work.clear_cache()
    TRACED.clear()
    said = []
    for _ in range(2):
        programs = Executables(folder, said.append)
        for _ in range(2):
            got = programs(work, {"power": 2}, **arguments())
            np.testing.assert_array_equal(got["y"], want)
    assert len(TRACED) == 1
    assert said == []
    assert [path.stat().st_mode & 0o777 for path in folder.iterdir()] == [0o600]


def test_of_too_many_programs_the_one_not_used_for_longest_is_loaded_again(folder, monkeypatch):
    monkeypatch.setattr(executables, "MOST_READY", 2)
    programs, loaded = Executables(folder), []
    monkeypatch.setattr(programs, "_load", lambda path, _: loaded.append(path.name))
    for power in (2, 3, 2, 4, 2, 3):  # 4 takes the place of 3, and then 3 that of 4
        programs(work, {"power": power}, **arguments())
    names = list(dict.fromkeys(loaded))
    assert [names.index(path) for path in loaded] == [0, 1, 2, 1]


def test_what_decides_about_a_program_is_in_its_key(folder):
    programs = Executables(folder)
    programs(work, {"power": 2}, **arguments())
    programs(work, {"power": 3}, **arguments())
    programs(work, {"power": 2}, **arguments(X[:1]))
    programs(work, {"power": 2}, **arguments(X.astype(jnp.bfloat16)))
    programs(work, {"power": 2}, **arguments(X + 1))  # another value, not another program
    assert len(list(folder.iterdir())) == len(TRACED) == 4


def test_a_program_that_jax_has_in_its_own_cache_is_kept_too(folder, tmp_path):
    names = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
    before = {name: getattr(jax.config, name) for name in names}
    jax.config.update("jax_compilation_cache_dir", str(tmp_path / "jax"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    try:
        for _ in range(2):
            work(2, **arguments())
            work.clear_cache()
        said = []
        for _ in range(2):
            Executables(folder, said.append)(work, {"power": 2}, **arguments())
            work.clear_cache()
        assert said == []
    finally:
        for name, value in before.items():
            jax.config.update(name, value)


def test_long_compiling_is_announced(folder, monkeypatch):
    monkeypatch.setattr(executables, "PATIENCE", 0.0)
    said = []
    Executables(folder, said.append)(work, {"power": 2}, **arguments())
    assert said[0] == executables.COMPILING
    assert said[1].startswith("compiled in ")


@pytest.mark.parametrize("name", ["version of jaxsd", "version of jax", "device", "setting"])
def test_a_program_for_something_else_is_compiled_again_with_a_line(folder, monkeypatch, name):
    other = executables.environment_key() | {name: "another"}
    with monkeypatch.context() as patch:
        patch.setattr(executables, "environment_key", lambda: other)
        for power in (2, 3):
            Executables(folder)(work, {"power": power}, **arguments())
    work.clear_cache()
    said = []
    programs = Executables(folder, said.append)
    for power in (2, 3):
        programs(work, {"power": power}, **arguments())
    assert len(TRACED) == 4
    [line] = said
    assert f"what {folder} has is for another {name}" in line
    Executables(folder, said.append)(work, {"power": 2}, **arguments())
    assert len(said) == 1


@pytest.mark.parametrize("damage", [b"", b"{", b"header only\n", None])
def test_a_damaged_program_is_compiled_again_with_a_line(folder, damage):
    Executables(folder)(work, {"power": 2}, **arguments())
    [path] = folder.iterdir()
    path.write_bytes(path.read_bytes()[:-100] if damage is None else damage)
    work.clear_cache()
    said = []
    Executables(folder, said.append)(work, {"power": 2}, **arguments())
    assert len(said) == 1
    assert "can not be loaded" in said[0]
    assert "\n" not in said[0]


def test_nothing_is_unpickled_from_a_file_that_others_could_have_written(folder, monkeypatch):
    Executables(folder)(work, {"power": 2}, **arguments())
    [path] = folder.iterdir()
    path.chmod(0o666)
    monkeypatch.setattr(pickle, "load", lambda file: pytest.fail("unpickled"))
    with pytest.raises(ValueError, match="only you can write"):
        Executables(folder)(work, {"power": 2}, **arguments())


def test_a_program_that_is_not_written_to_its_end_leaves_nothing_behind(folder, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    programs = Executables(folder)
    monkeypatch.setattr(pickle, "dump", stop)
    with pytest.raises(KeyboardInterrupt):
        programs(work, {"power": 2}, **arguments())
    assert list(folder.iterdir()) == []


def test_a_full_disk_is_a_line_and_no_reason_to_stop(folder, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(pickle, "dump", full)
    said = []
    programs = Executables(folder, said.append)
    for power in (2, 3):
        got = programs(work, {"power": power}, **arguments())
        np.testing.assert_array_equal(got["y"], work(power, **arguments())["y"])
    assert said == [f"compiled programs are not kept: {folder}: No space left on device"]
    assert list(folder.iterdir()) == []


def test_an_open_folder_is_refused(tmp_path):
    tmp_path.chmod(0o755)
    with pytest.raises(ValueError, match="open to other users"):
        Executables(tmp_path)


def test_the_file_says_what_it_is_for_before_anything_is_unpickled(folder):
    Executables(folder)(work, {"power": 2}, **arguments())
    [path] = folder.iterdir()
    header = json.loads(path.read_bytes().partition(b"\n")[0])
    assert header == executables.environment_key()
    assert jax.__version__ in header["version of jax"]


def test_without_a_folder_programs_last_as_long_as_the_process(folder):
    programs = Executables()
    for _ in range(2):
        programs(work, {"power": 2}, **arguments())
    assert len(TRACED) == 1
    assert not folder.exists()


def test_what_is_forgotten_is_loaded_from_the_folder_and_never_compiled_again(folder):
    for kept in (folder, None):
        programs = Executables(kept)
        want = programs(work, {"power": 2}, **arguments())
        ready, traced = dict(programs._ready), len(TRACED)
        programs.forget()
        assert programs._ready == ({} if kept else ready)
        got = programs(work, {"power": 2}, **arguments())
        np.testing.assert_array_equal(got["y"], want["y"])
        assert len(TRACED) == traced


def test_what_could_run_at_any_time_runs_late_on_a_cpu(monkeypatch):
    """Products that add up: each is made when the sum has come to it, and not all at first."""
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    sides = jnp.ones((12, 64, 64)), jnp.ones((64, 64))

    def total(many: Array, one: Array) -> Array:
        return reduce(lambda sum, each: jnp.sin(sum @ each), [each @ each.T for each in many], one)

    compiled = jax.jit(total).lower(*sides).compile(executables.compiler_options())
    assert compiled.memory_analysis().temp_size_in_bytes <= 3 * sides[1].nbytes
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_scheduler_type=CPU_SCHEDULER_TYPE_DEFAULT")
    assert executables.compiler_options() == {}


def test_a_gpu_gets_command_buffers_unless_the_user_decided(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    options = executables.compiler_options()
    kinds = options["xla_gpu_enable_command_buffer"].split(",")
    assert {"CONVOLUTION", "WHILE"} <= set(kinds)
    assert "COLLECTIVES" not in kinds
    # XLA knows every word: it parses them for whatever it compiles.
    jax.jit(lambda x: x + 1).lower(1.0).compile(options)
    monkeypatch.setenv("XLA_FLAGS", "--xla_gpu_enable_command_buffer=")
    assert "xla_gpu_enable_command_buffer" not in executables.compiler_options()


def test_threads_that_compile_leave_the_setting_of_jax(folder):
    """Compiles in two threads that overlap: the first to come is the first to go."""
    assert jax.config.jax_enable_compilation_cache
    executables.jax_cache_disabled.__enter__()
    with executables.jax_cache_disabled:
        executables.jax_cache_disabled.__exit__()
        assert not jax.config.jax_enable_compilation_cache
    assert jax.config.jax_enable_compilation_cache


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="what glibc keeps")
def test_freed_memory_goes_back_to_the_system():
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    blocks = [libc.malloc(ctypes.c_size_t(1000)) for _ in range(200_000)]
    for block in blocks:
        ctypes.memset(block, 1, 1000)
    for block in blocks[:-1]:  # the last one keeps the others from being given back by themselves
        libc.free(ctypes.c_void_p(block))
    before = resident()
    executables.give_back_memory()
    assert before - resident() > 100e6
    libc.free(ctypes.c_void_p(blocks[-1]))
