"""Names in the files of diffusers and transformers that do not follow from the paths alone."""

import re
from functools import partial

from jaxsd.convert.files.tensors import FlatTree, without
from jaxsd.convert.names import PROJECTIONS, torch_slots

_TEXT, _VISION = "text_model.", "vision_model."
_BUFFERS = ("logit_scale", "embeddings.position_ids")

# What early conversions called the VAE's attention; SD 1.x repositories on the hub still do.
_OLD_VAE_ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
_OLD_VAE = re.compile(rf"(?<=attentions\.0\.)({'|'.join(_OLD_VAE_ATTENTION)})(?=\.)")

text_slots = partial(torch_slots, prefix=_TEXT)
"""Slots of a text encoder, under the names that every release of transformers reads."""
vision_slots = partial(torch_slots, prefix=_VISION)
"""Slots of a CLIP's vision tower."""


def modern_vae(tensors: FlatTree) -> FlatTree:
    """A VAE file's tensors under today's names."""
    return {
        _OLD_VAE.sub(lambda match: _OLD_VAE_ATTENTION[match[1]], name): tensor
        for name, tensor in tensors.items()
    }


def modern_clip(tensors: FlatTree, *, prefix: str) -> FlatTree:
    """The tensors of a text encoder or a vision tower with their `prefix`, without buffers.

    transformers >= 5.6 writes `CLIPTextModel` without the prefix.
    """
    prefixed = any(name.startswith(prefix) for name in tensors)
    named = {
        name if prefixed or name.startswith(PROJECTIONS) else prefix + name: tensor
        for name, tensor in tensors.items()
    }
    return without(named, (prefix + name for name in _BUFFERS))


modern_text = partial(modern_clip, prefix=_TEXT)
modern_vision = partial(modern_clip, prefix=_VISION)
