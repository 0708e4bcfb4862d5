"""jaxsd's own worker: `python -m jaxsd.benchmark.worker`, with requests on stdin.

A worker is a program that answers each line of JSON with another line. It answers `{"job": {...}}`
with `{"compile": seconds, "versions": ..., "flops": ...}` or `{"left_out": why}`, `{"run": true}`
with `{"seconds": ...}`, and `{"finish": true}` with `{"peak": bytes}` before it ends.
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import jaxlib

from jaxsd.benchmark.flops import count_flops
from jaxsd.benchmark.jobs import Job
from jaxsd.benchmark.networks import filled, work
from jaxsd.executables import compiler_options, give_back_memory

FIELDS = ("model", "part", "dtype", "batch", "size", "steps", "stored")


def prepared(message: dict[str, Any]) -> tuple[dict[str, Any], Callable[[], None]]:
    """The answer to a job, and a function that runs it once."""
    job = Job(**{field: message[field] for field in FIELDS})
    function, shapes = work(job)
    flops = count_flops(function, *shapes)
    started = time.perf_counter()
    compiled = jax.jit(function).lower(*shapes).compile(compiler_options())
    seconds = time.perf_counter() - started
    give_back_memory()
    arguments = jax.block_until_ready(filled(shapes))  # after what compiling took is given back

    def run() -> None:
        jax.block_until_ready(compiled(*arguments))

    device = jax.devices()[0]
    versions = f"jax {jax.__version__}, jaxlib {jaxlib.__version__}"
    rate = matmul_rate(job.dtype)
    return {
        "compile": seconds,
        "versions": versions,
        "device": f"{device.platform} {device.device_kind}",
        "flops": flops,
        "rate": rate,
    }, run


def matmul_rate(dtype: str) -> float:
    """Operations per second of the fastest of a few large products in a dtype, float32 sums."""
    best = 0.0
    for rows, inner, columns in ((2048, 1280, 1280), (4096, 640, 2560), (8192, 320, 1280)):
        x, y = jnp.ones((rows, inner), dtype), jnp.ones((inner, columns), dtype)
        product = jax.jit(lambda x, y: jnp.dot(x, y, preferred_element_type=jnp.float32))
        product(x, y).block_until_ready()
        times = []
        for _ in range(5):
            started = time.perf_counter()
            for _ in range(3):
                out = product(x, y)
            out.block_until_ready()
            times.append((time.perf_counter() - started) / 3)
        best = max(best, 2 * rows * inner * columns / min(times))
    return best


def peak_memory() -> int:
    """Peak bytes of the device if it reports them, else of this process."""
    statistics = jax.devices()[0].memory_stats() or {}
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return statistics.get("peak_bytes_in_use", own)


def main() -> None:
    """Answers line by line, until a message says `finish`."""
    run = None
    for line in sys.stdin:
        message = json.loads(line)
        if "job" in message:
            answer, run = prepared(message["job"])
        elif "run" in message:
            started = time.perf_counter()
            run()
            answer = {"seconds": time.perf_counter() - started}
        else:
            answer = {"peak": peak_memory()}
        print(json.dumps(answer), flush=True)
        if "finish" in message:
            return


if __name__ == "__main__":
    main()
