"""Networks that say how pictures look, as arrays that can be compared."""

from collections.abc import Sequence

import jax
import numpy as np

from jaxsd.convert.clip import clip_pixels, read_clip
from jaxsd.images import fitted
from jaxsd.models import VisionEncoder
from jaxsd.parallel import mesh_of
from jaxsd.pipeline import Pipeline
from jaxsd.score.networks import Network, on_devices
from jaxsd.types import Array, Params


def autoencoder_sight(pipe: Pipeline) -> Network:
    """Latents [B, D] of a model's autoencoder, at the size that the model draws."""
    side = pipe.spec.default_size

    def run(pictures: Sequence[np.ndarray]) -> Array:
        return pipe.encode(np.stack(pictures)).reshape(len(pictures), -1)

    return Network(lambda picture, _: fitted(picture, side, side), run)


def clip_sight(source: str) -> Network:
    """Embeddings [B, D] of a CLIP of transformers; raises as `read_clip`."""
    clip = read_clip(source)
    see = VisionEncoder(clip.vision)

    def embeddings(params: Params, images: Array) -> Array:
        return see.apply({"params": params}, images).embedding

    device = on_devices(
        embeddings, clip.params["vision"], mesh_of(devices=jax.local_devices()[:1]), 1
    )
    side = clip.vision.image_size
    return Network(
        lambda picture, _: clip_pixels(picture, side), lambda pictures: device(np.stack(pictures))
    )
