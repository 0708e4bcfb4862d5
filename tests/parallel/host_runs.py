"""One of two processes whose devices are one mesh: draws its own half of eight pictures,
step by step where each device has the whole weights, and in one program where they share them."""

import sys

import jax
import numpy as np
from mesh_runs import pipeline_on

PROMPTS = [f"picture {i}" for i in range(8)]
OPTIONS = {"sampler": "euler_a", "steps": 3, "height": 8, "width": 8}


def main(port: str, host: int, folder: str) -> None:
    jax.distributed.initialize(f"localhost:{port}", 2, host)
    assert (jax.device_count(), jax.local_device_count()) == (4, 2)
    own = slice(4 * host, 4 * host + 4)
    for shape, progress in (((4, 1, 1), lambda row, rows: None), ((1, 4, 1), None)):
        pipe = pipeline_on(shape)
        drawing = pipe.draw(PROMPTS[own], seed=list(range(8))[own], progress=progress, **OPTIONS)
        assert drawing.finite.shape == (3, 4)
        name = "-".join(map(str, shape))
        np.save(f"{folder}/{name}-{host}.npy", drawing.latents)
    if host == 0:
        alone = pipeline_on((1, 1, 1))
        np.save(f"{folder}/alone.npy", alone.draw(PROMPTS, seed=list(range(8)), **OPTIONS).latents)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
