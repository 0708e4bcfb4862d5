"""Names in the files of diffusers and transformers that do not follow from the paths alone."""

import re
from collections.abc import Mapping
from functools import partial
from typing import Any

from jaxsd.convert.files.tensors import FlatTree, without
from jaxsd.convert.names import PROJECTIONS, torch_slots

_TEXT, _VISION = "text_model.", "vision_model."
_BUFFER = "embeddings.position_ids"

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


def modern_clip(tensors: FlatTree, *, prefix: str, projection: str) -> FlatTree:
    """The tensors of a text encoder or a vision tower with their `prefix`, without buffers.

    transformers >= 5.6 writes `CLIPTextModel` without the prefix. A file may have a whole CLIP, of
    which only this half is kept; `projection` is the name of its last layer, "" for none.
    """
    other = _VISION if prefix == _TEXT else _TEXT
    others = (other, "logit_scale", *(name for name in PROJECTIONS if name != projection))
    tensors = {name: own for name, own in tensors.items() if not name.startswith(others)}
    prefixed = any(name.startswith(prefix) for name in tensors)
    named = {
        name if prefixed or name.startswith(PROJECTIONS) else prefix + name: tensor
        for name, tensor in tensors.items()
    }
    return without(named, [prefix + _BUFFER, f"{prefix}logit_scale"])


modern_text = partial(modern_clip, prefix=_TEXT, projection="")
modern_projected_text = partial(modern_clip, prefix=_TEXT, projection=PROJECTIONS[0])
modern_vision = partial(modern_clip, prefix=_VISION, projection=PROJECTIONS[1])


def torch_class(name: Any) -> Any:
    """The class of PyTorch for one of Flax: `FlaxAutoencoderKL` is `AutoencoderKL`."""
    return name.removeprefix("Flax") if isinstance(name, str) else name


def in_torch(table: Mapping[str, Any]) -> dict[str, Any]:
    """A model_index.json, or another table, with PyTorch's classes in place of Flax's."""
    return {
        name: [*map(torch_class, value)] if isinstance(value, list) else torch_class(value)
        for name, value in table.items()
    }
