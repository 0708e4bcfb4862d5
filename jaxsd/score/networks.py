"""Networks that measure pictures, on all devices of a host.

Feature networks are small, so every device has all weights. Pictures are split: each device runs
the program on its own pictures, without communication.
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding

from jaxsd.convert.clip import ClipModel, clip_pixels
from jaxsd.images import clean_resize
from jaxsd.inception import SIDE
from jaxsd.models import Inception, TextEncoder, VisionEncoder
from jaxsd.parallel import EVERYWHERE, IMAGES, per_device, share
from jaxsd.types import Array, Params


class Network(NamedTuple):
    """A network whose inputs are pictures.

    Attributes:
      prepare: makes its input from a picture, uint8 [H, W, 3], and its prompt, in a thread of the
        host; None if the network does not apply.
      run: starts the devices on a batch of inputs, and does not wait for the result [B, ...].
      takes_prompts: whether `prepare` is given prompts, and not None.
    """

    prepare: Callable[[np.ndarray, str | None], Any]
    run: Callable[[Sequence[Any]], Array]
    takes_prompts: bool = False


def on_devices(
    function: Callable[..., Array], params: Params, mesh: Mesh, inputs: int
) -> Callable[..., Array]:
    """`function(params, *inputs)` for arrays [B, ...] of the host, B a multiple of the devices.

    Products have full float32 precision, even on platforms where the default is less.
    """

    def precise(params: Params, *arrays: Array) -> Array:
        with jax.default_matmul_precision("highest"):
            return function(params, *arrays)

    placed = jax.device_put(params, NamedSharding(mesh, EVERYWHERE))
    specs = (EVERYWHERE, *[IMAGES] * inputs)
    program = jax.jit(per_device(mesh, precise, specs, IMAGES))
    return lambda *arrays: program(placed, *share(arrays, mesh))


def weights_hash(params: Params) -> str:
    """SHA-256 of a network's parameters, in hex."""
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        digest.update(jax.tree_util.keystr(path).encode())
        digest.update(np.ascontiguousarray(leaf))
    return digest.hexdigest()


def inception_network(params: Params, mesh: Mesh) -> Network:
    """Features [B, 2048] for FID and KID."""

    def features(params: Params, images: Array) -> Array:
        return Inception().apply({"params": params}, images)

    def prepare(picture: np.ndarray, prompt: str | None) -> np.ndarray:
        del prompt
        # As clean-fid: 255 is not quite 1.
        return (clean_resize(picture, SIDE) - 128) / 128

    run = on_devices(features, params, mesh, 1)
    return Network(prepare, lambda pictures: run(np.stack(pictures)))


def clip_network(clip: ClipModel, mesh: Mesh) -> Network:
    """Cosines [B] between CLIP's embeddings of a picture and of its prompt (Hessel et al. 2021)."""
    see, read = VisionEncoder(clip.vision), TextEncoder(clip.text)

    def cosines(params: Params, images: Array, ids: Array) -> Array:
        seen = see.apply({"params": params["vision"]}, images).embedding
        said = read.apply({"params": params["text"]}, ids).pooled
        lengths = jnp.linalg.norm(seen, axis=-1) * jnp.linalg.norm(said, axis=-1)
        return (seen * said).sum(-1) / lengths

    def prepare(picture: np.ndarray, prompt: str | None) -> tuple[np.ndarray, str] | None:
        if not prompt:
            return None
        return clip_pixels(picture, clip.vision.image_size), prompt

    device = on_devices(cosines, clip.params, mesh, 2)

    def run(inputs: Sequence[tuple[np.ndarray, str]]) -> Array:
        pictures, prompts = zip(*inputs, strict=True)
        return device(np.stack(pictures), clip.tokenizer(prompts))

    return Network(prepare, run, takes_prompts=True)
