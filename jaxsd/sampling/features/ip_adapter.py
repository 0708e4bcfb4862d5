"""IP-Adapters (Ye et al. 2023): pictures beside the prompt, by decoupled cross-attention."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxsd.models.ip_adapter import KeysValues
from jaxsd.models.openings import Path, attention_by
from jaxsd.nn.attention import attention
from jaxsd.parallel import gather
from jaxsd.sampling.call import Answer, Call, Networks, UNetCall
from jaxsd.sampling.features.feature import Beginning, Feature
from jaxsd.sampling.loop import Memory, Step, per_image
from jaxsd.types import Array, Params


class ImagePrompts(NamedTuple):
    """Given are pictures [B, s, s, 3] float32, preprocessed as for CLIP, or embeddings of faces
    [B, d]; held is what they become.

    Attributes:
      seen: of each adapter.
      negatives: [B] int32, how many of an image's texts, the first ones, are negative prompts.
      masks: [B, A, T] of each size that the U-Net has features of, T pixels: where adapters act.
    """

    seen: tuple[Array, ...] | tuple[KeysValues, ...]
    negatives: Array
    masks: tuple[Array, ...] = ()


def hold(
    networks: Networks, params: Params, given: ImagePrompts, beginning: Beginning
) -> ImagePrompts:
    """Keys and values of all cross-attentions: they stay the same in every row."""
    seen = [
        net.keys_and_values(gather(tree, f"ip_adapter/{i}", networks.mesh), images)
        for i, (net, tree, images) in enumerate(
            zip(networks.ip_adapters, params["ip_adapter"], given.seen, strict=True)
        )
    ]
    return given._replace(seen=tuple(seen))


def wrap(networks: Networks, params: Params, held: ImagePrompts, unet: UNetCall) -> UNetCall:
    """Adds to each cross-attention what it sees of the pictures (equation 5).

    The column `ip_adapter` [B, A, N] has the weight of each adapter in each cross-attention, in the
    order of their paths. Negative prompts see no picture.
    """

    def changed(call: Call, step: Step, memory: Memory) -> tuple[Answer, Memory]:
        which, weights = step.columns["which"], step.columns["ip_adapter"]
        shows = (which >= held.negatives[:, None]).astype(jnp.int32)  # [B, K]

        def of_branches(kept: Array) -> Array:
            """[B, 2, T, c] -> [B*K, T, c]."""
            each = jax.vmap(lambda own, numbers: own[numbers])(kept, shows)
            return each.reshape(-1, *each.shape[2:])

        def attended(
            path: Path, attend: Callable[..., Array], query: Array, key: Array, value: Array
        ) -> Array:
            out, name = attend(query, key, value), "/".join(path)
            for i, own in enumerate(held.seen):
                if name not in own:
                    continue
                key, value = (
                    of_branches(kept).reshape(len(query), -1, *query.shape[2:]).astype(query.dtype)
                    for kept in own[name]
                )
                own_weights = weights[:, i, sorted(own).index(name)]
                weight = jnp.repeat(own_weights, which.shape[1]).astype(out.dtype)
                shown = attention(query, key, value)
                for mask in held.masks:
                    if mask.shape[-1] == query.shape[1]:
                        where = jnp.repeat(mask[:, i], which.shape[1], axis=0)
                        shown = shown * where[..., None, None].astype(shown.dtype)
                out = out + per_image(weight, shown)
            return out

        with attention_by(attended):
            return unet(call, step, memory)

    return changed


FEATURE = Feature(hold=hold, wrap=wrap)
