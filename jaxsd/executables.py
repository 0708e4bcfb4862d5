"""Compiled programs in files: a later process loads them instead of tracing and compiling."""

import ctypes
import hashlib
import json
import os
import pickle
import sys
import tempfile
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from threading import Lock, Timer
from typing import Any

import jax
import jaxlib
from jax.experimental import serialize_executable
from jax.experimental.compilation_cache import compilation_cache
from jax.sharding import SingleDeviceSharding

import jaxsd
from jaxsd.folders import check_private_file, private
from jaxsd.types import Array

COMMAND_BUFFERS = (
    "FUSION,CUBLAS,CUBLASLT,CUDNN,CUSTOM_CALL,CONDITIONAL,DYNAMIC_SLICE_FUSION,CONVOLUTION,WHILE"
)
"""What a CUDA graph may hold: XLA's defaults, and convolutions and loops, without which the graph
of a U-Net is split into pieces. Not COLLECTIVES, which were seen to hang.
"""

OPTIONS: dict[str, dict[str, str]] = {
    "gpu": {
        "xla_gpu_enable_command_buffer": COMMAND_BUFFERS,
        "xla_gpu_dot_merger_threshold_mb": "0",
    },
    "cpu": {"xla_cpu_scheduler_type": "CPU_SCHEDULER_TYPE_MEMORY_OPTIMIZED"},
}
"""XLA's options by platform. The GPU's joins no products, since it would copy their kernels in each
step, and copy parts of what they give; `nn/products.py` joins what gains by it. The CPU's runs
operations as late as possible, which saves memory: 0.19 GB beside the weights of SD 1.5's U-Net at
512 pixels, instead of 0.49.
"""

SOURCES = ("config", "types.py", "upscalers.py", "models", "nn", "parallel", "sampling")
"""Source files and folders that programs are traced from."""

PATIENCE = 1.0
"""Seconds of compiling after which it is announced."""

MOST_READY = 64
"""Programs in memory, some tens of megabytes each; of more, the one not used for longest leaves."""

COMPILING = "compiling for this model and size; the next run will not"

Static = Mapping[str, Any]


class Executables:
    """Calls jitted functions, with compiled programs from a folder if there is one.

    Attributes:
      folder: private to this user, since its files are run; None to keep nothing, which it also
        becomes once a program can not be written.
      announce: gets one line about a program that takes long to compile, or that cannot be loaded.
    """

    def __init__(
        self, folder: Path | None = None, announce: Callable[[str], None] = lambda line: None
    ) -> None:
        self.folder = None if folder is None else private(folder)
        self.announce = announce
        self._ready: OrderedDict[tuple[str, tuple[int, ...]], jax.stages.Compiled] = OrderedDict()
        self._said: set[str] = set()

    def __call__(self, function: Any, static: Static, **arrays: Any) -> Any:
        """Returns `function(**static, **arrays)`.

        Args:
          function: a function of `jax.jit`.
          static: its static arguments; their `repr` must describe them completely.
          **arrays: its other arguments, trees of arrays.
        """
        return self.prepared(function, static, **arrays)(**arrays)

    def prepared(self, function: Any, static: Static, **arrays: Any) -> jax.stages.Compiled:
        """The program for such arrays: from memory, from the folder, or else compiled and kept.

        Only shapes, dtypes and devices of the arrays count, not their values. Programs for devices
        of several hosts are not written to the folder.
        """
        key, devices = program_key(function.__name__, static, arrays), _devices(arrays)
        ready = key, tuple(device.id for device in devices)
        with suppress(KeyError):
            self._ready.move_to_end(ready)
            return self._ready[ready]
        name = f"{function.__name__}-{key[:32]}{_suffix(ready[1])}.jaxsd"
        own = all(device.process_index == jax.process_index() for device in devices)
        path = self.folder / name if own and self.folder is not None else None
        program = self._load(path, arrays) or self._compile(path, function, static, arrays)
        self._ready[ready] = program
        while len(self._ready) > MOST_READY:
            self._ready.popitem(last=False)
        return program

    def forget(self) -> None:
        """Gives up the programs in memory if they are in the folder, from which they are loaded
        when they are needed again: those of SD 1.5 take 0.3 GB. For programs of one process.
        """
        if self.folder is not None:
            self._ready.clear()

    def _load(self, path: Path | None, arrays: Any) -> jax.stages.Compiled | None:
        if path is None or not path.exists():
            return None
        check_private_file(path)
        try:
            with path.open("rb") as file:
                found, wanted = json.loads(file.readline()), environment_key()
                if found == wanted:
                    payload, in_tree, out_tree = pickle.load(file)
                    program = serialize_executable.deserialize_and_load(
                        payload, in_tree, out_tree, execution_devices=_devices(arrays)
                    )
                    give_back_memory()
                    return program
            other = " and ".join(name for name in wanted if found.get(name) != wanted[name])
            self._say_once(f"compiling again; what {self.folder} has is for another {other}")
        except Exception as error:  # a damaged file can raise anything
            reason = str(error).partition("\n")[0]
            self._say_once(f"compiling {path.name} again; it can not be loaded: {reason}")
        return None

    def _compile(
        self, path: Path | None, function: Any, static: Static, arrays: Any
    ) -> jax.stages.Compiled:
        started = time.perf_counter()
        timer = Timer(PATIENCE, self._say_once, (COMPILING,))
        timer.daemon = True
        timer.start()
        try:
            with jax_cache_disabled:
                compiled = function.lower(**static, **arrays).compile(compiler_options())
        finally:
            timer.cancel()
        if (seconds := time.perf_counter() - started) > PATIENCE:
            self.announce(f"compiled in {seconds:.0f} s")
            give_back_memory()
        if path is not None:
            self._keep(compiled, path)
        return compiled

    def _keep(self, compiled: jax.stages.Compiled, path: Path) -> None:
        """Writes a program; after an error it and later ones stay in memory alone."""
        try:
            _write(compiled, path)
        except OSError as error:
            self.folder = None
            reason = error.strerror or error
            self._say_once(f"compiled programs are not kept: {path.parent}: {reason}")

    def _say_once(self, line: str) -> None:
        if line not in self._said:
            self._said.add(line)
            self.announce(line)


IN_MEMORY = Executables()
"""Keeps programs in this process only, without a folder."""


def _write(compiled: jax.stages.Compiled, path: Path) -> None:
    """Writes a program; readers see the complete old file or the complete new one."""
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        try:
            file.write(json.dumps(environment_key()).encode() + b"\n")
            pickle.dump(serialize_executable.serialize(compiled), file)
            file.flush()
            os.replace(file.name, path)
        except BaseException:
            os.unlink(file.name)
            raise


def give_back_memory() -> None:
    """Returns freed memory to the system: after compiling SD 1.5 glibc holds 1 GB of it, and after
    loading its programs 0.3 GB.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


class JaxCacheDisabled:
    """Turns JAX's own cache off: on a CPU, programs loaded from it can not be serialised again.

    Several threads may be inside; the first to enter and the last to leave change JAX's setting.
    """

    def __init__(self) -> None:
        self.lock, self.within, self.before = Lock(), 0, True

    def __enter__(self) -> None:
        with self.lock:
            self.within += 1
            if self.within == 1:
                self.before = jax.config.jax_enable_compilation_cache
                self._set(False)

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self.within -= 1
            if self.within == 0:
                self._set(self.before)

    def _set(self, enabled: bool) -> None:
        jax.config.update("jax_enable_compilation_cache", enabled)
        compilation_cache.reset_cache()


jax_cache_disabled = JaxCacheDisabled()


def program_key(name: str, static: Static, arrays: Any) -> str:
    """A hash of what a program is for: function, static arguments, shapes, dtypes, shardings."""
    leaves, tree = jax.tree.flatten(arrays)
    said = (name, sorted((k, repr(v)) for k, v in static.items()), str(tree))
    return hashlib.sha256(repr((said, [_described(leaf) for leaf in leaves])).encode()).hexdigest()


def _described(leaf: Array) -> str:
    sharding = getattr(leaf, "sharding", None)
    alone = sharding is None or isinstance(sharding, SingleDeviceSharding)
    weak = getattr(getattr(leaf, "aval", leaf), "weak_type", False)
    return f"{leaf.dtype}{tuple(leaf.shape)}{weak}{'' if alone else sharding}"


def _devices(arrays: Any) -> list[jax.Device]:
    """Devices for these arguments: the mesh's, or those that an array was put on, or the first."""
    leaves = jax.tree.leaves(arrays)
    for leaf in leaves:
        sharding = getattr(leaf, "sharding", None)
        if sharding is not None and not isinstance(sharding, SingleDeviceSharding):
            return list(sharding.mesh.devices.flat)
    put = [leaf for leaf in leaves if isinstance(leaf, jax.Array) and leaf.committed]
    return list(put[0].devices()) if put else jax.local_devices()[:1]


def _suffix(numbers: tuple[int, ...]) -> str:
    """Suffix of a program's file name. In a single process one file serves all devices; of several
    processes each has files for its own devices.
    """
    usual = jax.process_count() == 1 or numbers == tuple(range(len(numbers)))
    return "" if usual else "-" + hashlib.sha256(repr(numbers).encode()).hexdigest()[:8]


@cache
def environment_key() -> dict[str, str]:
    """What a compiled program depends on, beside what is in its key."""
    device = jax.devices()[0]
    return {
        "version of jaxsd": f"{jaxsd.__version__} {_source_hash()}",
        "version of jax": f"{jax.__version__} {jaxlib.__version__}",
        "device": f"{device.device_kind} {device.client.platform_version} {_processor()}",
        "setting": repr(
            (
                os.environ.get("XLA_FLAGS"),
                os.environ.get("LIBTPU_INIT_ARGS"),
                compiler_options(),
                jax.config.jax_default_matmul_precision,
                jax.config.jax_enable_x64,
                jax.config.jax_threefry_partitionable,
            )
        ),
    }


def compiler_options() -> dict[str, str]:
    """XLA's options for the default platform, except those that the user set in XLA_FLAGS."""
    flags, wanted = os.environ.get("XLA_FLAGS", ""), OPTIONS.get(jax.default_backend(), {})
    return {name: value for name, value in wanted.items() if name not in flags}


def _source_hash() -> str:
    root, digest = Path(jaxsd.__file__).parent, hashlib.sha256()
    for source in SOURCES:
        path = root / source
        for file in [path] if path.is_file() else sorted(path.glob("**/*.py")):
            digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def _processor() -> str:
    """A hash of this processor's features and number of cores, for which XLA compiles."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    flags = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return hashlib.sha256(f"{flags} {os.cpu_count()}".encode()).hexdigest()[:12]
