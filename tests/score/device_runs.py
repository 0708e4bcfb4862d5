"""Shows a small network to the eight devices of a process; prints what came of it as JSON."""

import json

import jax
import numpy as np

from jaxsd.parallel import mesh_of
from jaxsd.score.networks import on_devices

WEIGHTS = {"kernel": np.arange(12.0, dtype=np.float32).reshape(3, 4)}
IMAGES = np.arange(16 * 2 * 3, dtype=np.float32).reshape(16, 2, 3)


def features(params: dict, images: jax.Array) -> jax.Array:
    return (images @ params["kernel"]).mean(1)


if __name__ == "__main__":
    texts = []
    jitted = jax.jit

    def jit(function, **options):
        """Keeps the text of what is compiled."""
        program = jitted(function, **options)

        def call(*args):
            texts.append(program.lower(*args).compile().as_text())
            return program(*args)

        return call

    jax.jit = jit
    found = on_devices(features, WEIGHTS, mesh_of(), 1)(IMAGES)
    want = features(WEIGHTS, IMAGES)
    print(
        json.dumps(
            {
                "same": bool(np.allclose(found, want, rtol=1e-6)),
                "shares": [list(shard.data.shape) for shard in found.addressable_shards],
                "text": texts[0],
            }
        )
    )
