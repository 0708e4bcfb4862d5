"""Token ids to the U-Net's context: chunks, layers, and weights in three arithmetics.

Weights multiply, or interpolate, the text encoders' outputs, before the texts of an image are
joined. Their kind is a class, so the structure of the arguments decides what is compiled.
"""

from typing import NamedTuple

import jax.numpy as jnp

from jaxsd.parallel import gather
from jaxsd.sampling.call import Networks
from jaxsd.types import Array, Params


class Scaled(NamedTuple):
    """webui's weights: they multiply tokens, and the mean of each chunk stays what it was."""

    weight: tuple[Array, ...]  # [B, M + E, P, L] float32, one per text encoder

    def __call__(self, encoder: int, z: Array) -> Array:
        """Contexts [B, M + E, P, L, d] -> the same with their weights."""
        weighted = z * self.weight[encoder][..., None]
        means = [one.mean((-2, -1), keepdims=True) for one in (z, weighted)]
        return weighted * (means[0] / means[1])


class Interpolated(NamedTuple):
    """ComfyUI's weights: 0 gives the token of the empty prompt, which is the last helper."""

    weight: tuple[Array, ...]  # [B, M + E, P, L] float32

    def __call__(self, encoder: int, z: Array) -> Array:
        """Contexts [B, M + E, P, L, d] -> the same with their weights."""
        empty = z[:, -1:, :1]
        return empty + self.weight[encoder][..., None] * (z - empty)


class Mixed(NamedTuple):
    """compel's weights: ComfyUI's, and below 1 a mean with the text whose words nobody sees."""

    weight: tuple[Array, ...]  # [B, M + E, P, L] float32
    seen: tuple[Array, ...]  # [B, M + E, P, L] bool, whether other tokens see a token
    mix: Array  # [B, M, M + E] float32, the share of each text in those that branches see

    def __call__(self, encoder: int, z: Array) -> Array:
        """Contexts [B, M + E, P, L, d] -> the same with their weights."""
        each = Interpolated(self.weight)(encoder, z)
        return jnp.einsum("bmn,bnpld->bmpld", self.mix, each, precision="highest")


class Texts(NamedTuple):
    """M texts for each of B images, and E helpers, from which weights interpolate."""

    ids: tuple[Array, ...]  # [B, M + E, L] int32, one per text encoder; of P chunks [.., P, L]
    keep: Array  # [B, M] float32, 0 where the text is replaced by zeros
    layer: Array | None = None  # [B] int32, of the context, from the last, 1; None for the model's
    weights: Scaled | Interpolated | Mixed | None = None  # None where all are 1
    mix: Array | None = None  # [B, M, M] float32, shares of texts in those that branches see

    @property
    def number(self) -> int:
        """M."""
        return self.keep.shape[1]


class Encoded(NamedTuple):
    """M texts for each of B images, as the U-Net sees them."""

    context: Array  # [B, M, L, d] float32
    pooled: Array | None  # [B, M, p] float32

    @property
    def number(self) -> int:
        """M."""
        return self.context.shape[1]


def encoded_texts(networks: Networks, params: Params, texts: Texts) -> Encoded:
    """Contexts [B, M, P*L, d] joined along their width, and the last encoder's pooled texts.

    The pooled text is that of the first chunk.
    """
    batch, count = texts.keep.shape
    contexts, several = [], texts.ids[0].shape[1]
    for i, (encoder, tree, ids) in enumerate(
        zip(networks.text, params["text"], texts.ids, strict=True)
    ):
        length = ids.shape[-1]
        rows = ids.reshape(-1, length)
        layer = seen = None
        if texts.layer is not None:
            layer = jnp.repeat(texts.layer, len(rows) // batch)
        if isinstance(texts.weights, Mixed):
            seen = texts.weights.seen[i].reshape(rows.shape)
        own = {"params": gather(tree, f"text/{i}", networks.mesh)}
        output = encoder.apply(own, rows, layer, seen)
        context = output.context
        if texts.weights is not None:
            chunks = context.reshape(batch, several, -1, *context.shape[1:])
            context = texts.weights(i, chunks)[:, :count]
        contexts.append(context.reshape(batch * count, -1, context.shape[-1]))
    context = jnp.concatenate(contexts, axis=-1)
    context = context.reshape(batch, count, *context.shape[1:]) * texts.keep[..., None, None]
    if networks.unet.config.added is None:
        return Encoded(_mixed(texts.mix, context), None)
    pooled = output.pooled.reshape(batch, several, -1, output.pooled.shape[-1])[:, :count, 0]
    pooled = pooled * texts.keep[..., None]
    return Encoded(_mixed(texts.mix, context), _mixed(texts.mix, pooled))


def _mixed(mix: Array | None, encoded: Array) -> Array:
    """Means of what texts became, [B, M, ...], with the shares [B, M, M]."""
    if mix is None:
        return encoded
    return jnp.einsum("bmn,bn...->bm...", mix, encoded, precision="highest")
