"""Names of diffusers' and transformers' own files.

A path of ours is such a name with list indices joined (`down_blocks.0` -> `down_blocks_0`) and
another word for some leaves, so that the names follow from the paths by rule.
"""

import re
from collections.abc import Iterable

from jaxsd.convert.parameters import Shapes
from jaxsd.convert.slots import Slot, leaf_kind, unet_kind
from jaxsd.convert.tensors import FlatTree

_LISTS = (
    "down_blocks|up_blocks|resnets|attentions|transformer_blocks|downsamplers|upsamplers|net|"
    "to_out|layers|controlnet_down_blocks|blocks|conv"
)
_INDEXED = re.compile(rf"\b({_LISTS})_(\d+)(?=/)")
_LEAVES = {"kernel": "weight", "scale": "weight", "embedding": "weight", "bias": "bias"}

# What early conversions called the VAE's attention; SD 1.x repositories on the hub still do.
_OLD_VAE_ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
_OLD_VAE = re.compile(rf"(?<=attentions\.0\.)({'|'.join(_OLD_VAE_ATTENTION)})(?=\.)")

TEXT_PREFIX = "text_model."
_NO_PARAMETER = ("embeddings.position_ids", "logit_scale")


def torch_name(path: str) -> str:
    """The name in a diffusers or transformers file: `conv_in/kernel` -> `conv_in.weight`."""
    module, leaf = _INDEXED.sub(r"\1.\2", path).rsplit("/", 1)
    return f"{module.replace('/', '.')}.{_LEAVES[leaf]}"


def unet_slots(shapes: Shapes, *, linear: bool) -> list[Slot]:
    """Slots of `diffusion_pytorch_model` of a U-Net or a ControlNet; `linear` as in `unet_kind`."""
    return [
        Slot(path, torch_name(path), unet_kind(path, shapes[path], linear=linear))
        for path in shapes
    ]


def vae_slots(shapes: Shapes) -> list[Slot]:
    """Slots of `vae/diffusion_pytorch_model`."""
    return [Slot(path, torch_name(path), leaf_kind(path, shapes[path])) for path in shapes]


def text_slots(shapes: Shapes) -> list[Slot]:
    """Slots of `text_encoder/model`, under the names that every release of transformers reads."""

    def name(path: str) -> str:
        prefix = "" if path.startswith("text_projection/") else TEXT_PREFIX
        return prefix + torch_name(path)

    return [Slot(path, name(path), leaf_kind(path, shapes[path])) for path in shapes]


def modern_vae(tensors: FlatTree) -> FlatTree:
    """A VAE file's tensors under today's names."""
    return {
        _OLD_VAE.sub(lambda match: _OLD_VAE_ATTENTION[match[1]], name): tensor
        for name, tensor in tensors.items()
    }


def modern_text(tensors: FlatTree) -> FlatTree:
    """A text encoder file's tensors under the names of `text_slots`, without its buffers.

    transformers >= 5.6 writes `CLIPTextModel` without the prefix.
    """
    prefixed = any(name.startswith(TEXT_PREFIX) for name in tensors)
    named = {
        name if prefixed or name.startswith("text_projection.") else TEXT_PREFIX + name: tensor
        for name, tensor in tensors.items()
    }
    return without(named, (TEXT_PREFIX + _NO_PARAMETER[0], TEXT_PREFIX + _NO_PARAMETER[1]))


def without(tensors: FlatTree, names: Iterable[str]) -> FlatTree:
    """The tensors but for those of these names."""
    names = set(names)
    return {name: tensor for name, tensor in tensors.items() if name not in names}
