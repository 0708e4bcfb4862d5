"""Prints the processor seconds that the devices of this process cost; see `measure_growth.py`."""

import json
import time

import jax

import jaxsd
from jaxsd.parallel import mesh_of


def main() -> None:
    """Places the built-in model on all devices, and compiles a drawing of an image on each."""
    count = jax.device_count()
    mesh = mesh_of() if count > 1 else None
    began = time.process_time()
    pipe = jaxsd.load("emoji", mesh=mesh)
    jax.block_until_ready(pipe.params)
    placed = time.process_time()
    pipe.prepare(pipe.order(["a"] * count, batch=count))
    compiled = time.process_time()
    print(
        json.dumps(
            {"devices: load": placed - began, "devices: prepare and compile": compiled - placed}
        )
    )


if __name__ == "__main__":
    main()
