"""A pipeline that draws for the engine."""

from collections.abc import Hashable

import jax
import numpy as np

from jaxsd.canvases import Pictures, picture_of
from jaxsd.images import to_uint8
from jaxsd.latent_colours import coloured, latents_of
from jaxsd.pipeline import Order, Pipeline
from jaxsd.pipeline.slots import Slots
from jaxsd.settings import Settings, bucket_of
from jaxsd.types import Array


class PipelineArtist:
    """A model in memory; see `jaxsd.server.picture.Artist`."""

    def __init__(self, pipe: Pipeline, places: int, devices: int = 1) -> None:
        """Compiles nothing yet.

        Args:
          pipe: the model.
          places: images of each call.
          devices: that draw; each has weights of its own.
        """
        self.pipe, self.places = pipe, places
        self.pipes = (
            [pipe] if devices == 1 else [pipe.on(one) for one in jax.local_devices()[:devices]]
        )
        self._colours = latents_of(pipe.spec)

    @property
    def size(self) -> int:
        """Bytes of the weights, on each device; a refiner shares the autoencoder."""
        trees = self.pipe.params, [one.params for one in self.pipe.refiners.values()]
        return sum({id(leaf): leaf.nbytes for leaf in jax.tree.leaves(trees)}.values())

    def order(self, settings: Settings, pictures: Pictures) -> Order:
        """An order of one image, from checked settings; for any thread.

        Raises:
          ValueError: something that does not fit the model.
          OSError: an adapter that is not there.
        """
        return self.pipe.order([settings], pictures=[pictures], batch=1)

    def key(self, order: Order) -> Hashable:
        """What decides the programs and the weights: the bucket, but for numbers of rows."""
        pipe = _drawing(self.pipe, order)
        bucket = bucket_of(order.settings[0], pipe.spec, pipe.tokenizers)
        leaves, tree = jax.tree.flatten(order.given)
        return bucket._replace(runs=()), tree, tuple(leaf.shape for leaf in leaves)

    def batch(self, order: Order, device: int) -> Slots:
        """An empty batch for orders of this kind, on a device."""
        return _drawing(self.pipes[device], order).slots(order, self.places)

    def picture(self, image: Array, order: Order) -> np.ndarray:
        """The picture of what was decoded, with kept pixels and watermark."""
        if not np.isfinite(image).all():
            raise FloatingPointError(
                "the autoencoder's output was not finite in float32; check the weights"
            )
        return picture_of(to_uint8(image)[0], order.canvases[0], order.settings[0])

    def preview(self, estimate: Array) -> np.ndarray | None:
        """A pixel for each latent; None for latents whose colours are not known."""
        if self._colours is None:
            return None
        return to_uint8(coloured(np.asarray(estimate), self._colours))[0]


def _drawing(pipe: Pipeline, order: Order) -> Pipeline:
    """The pipeline that draws an order: the refiner, where it takes over."""
    return next(iter(pipe.refiners.values())) if order.takes_over else pipe
