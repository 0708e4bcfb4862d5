"""LAION's aesthetic predictors as a reward: ratings of what CLIP sees in a picture."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jaxsd.convert.aesthetic import read_predictor
from jaxsd.convert.clip import read_clip
from jaxsd.convert.diffusers.vision_settings import DEVIATION, MEAN
from jaxsd.models import VisionEncoder
from jaxsd.types import Array, Params


def aesthetic(predictor: str, clip: str) -> tuple[Callable[[Params, Array], Array], Params]:
    """The predictor, of params and images [B, H, W, 3] in [0, 1], and its params.

    The embedding is divided by its length, as for the predictors' training (Schuhmann 2022). Its
    pictures are stretched to CLIP's square.

    Args:
      predictor: file, see `read_predictor`.
      clip: folder of the CLIP that it was trained on, see `read_clip`.

    Raises:
      ValueError: a file is missing in the run, or wrong, or the two do not fit.
      OSError: a file can not be read.
    """
    if not predictor or not clip:
        raise ValueError(
            "reward 'aesthetic' needs reward.predictor, LAION's file, and reward.clip, the folder "
            "of the CLIP it was trained on (ViT-L/14 for sac+logos+ava1-l14-linearMSE.pth)"
        )
    layers, model = read_predictor(predictor), read_clip(clip)
    side, width = model.vision.image_size, model.vision.projection_dim
    if (rated_width := layers[0].kernel.shape[0]) != width:
        raise ValueError(
            f"{predictor} rates embeddings of {rated_width} numbers, and {clip} gives {width}; "
            "give the CLIP it was trained on"
        )
    see = VisionEncoder(model.vision)
    mean, deviation = (np.float32(own)[None, None, None] for own in (MEAN, DEVIATION))

    def rated(params: Params, images: Array) -> Array:
        seen = jax.image.resize(images, (len(images), side, side, 3), "cubic", antialias=True)
        seen = (jnp.clip(seen, 0, 1) - mean) / deviation
        x = see.apply({"params": params["vision"]}, seen).embedding
        x = x / jnp.linalg.norm(x, axis=-1, keepdims=True)
        for kernel, bias in params["layers"]:
            x = jnp.matmul(x, kernel, precision="highest") + bias[None]
        return x[:, 0]

    return rated, {"vision": model.params["vision"], "layers": layers}
