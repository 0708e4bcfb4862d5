"""Names in files that stable-diffusion.cpp writes: its text encoders have names of their own.

U-Net and autoencoder have those of the original code. All text encoders have transformers' names,
and those that were OpenCLIP's keep queries, keys and values in one tensor.
"""

from collections.abc import Callable, Collection
from functools import partial

from jaxsd.convert.original.names import TEXT

_FIRST = "cond_stage_model.transformer.text_model."
_SECOND = "cond_stage_model.1.transformer.text_model."
_JOINED = ".self_attn.in_proj."
"""Only OpenCLIP's encoders have it."""
_OPENCLIP = {
    _JOINED: ".attn.in_proj_",
    ".self_attn.out_proj.": ".attn.out_proj.",
    ".layer_norm1.": ".ln_1.",
    ".layer_norm2.": ".ln_2.",
    ".mlp.fc1.": ".mlp.c_fc.",
    ".mlp.fc2.": ".mlp.c_proj.",
    "encoder.layers.": "transformer.resblocks.",
    "embeddings.token_embedding.": "token_embedding.",
    "embeddings.position_embedding.weight": "positional_embedding",
    "final_layer_norm.": "ln_final.",
}


def renaming(names: Collection[str]) -> Callable[[str], str]:
    """A function from a file's names to the original code's, by what all its names are."""
    prefixes: dict[str, str] = {}
    if any(name.startswith(_SECOND) for name in names):
        prefixes = {_FIRST: TEXT["xl"][0], _SECOND: TEXT["xl"][1]}
    elif any(name.startswith(_FIRST) and _JOINED in name for name in names):
        prefixes = {_FIRST: TEXT["v2"][0]}
    return partial(_renamed, prefixes)


def _renamed(prefixes: dict[str, str], name: str) -> str:
    for prefix, own in prefixes.items():
        if name.startswith(prefix):
            rest = name.removeprefix(prefix)
            if not own.endswith(".text_model."):
                for word, other in _OPENCLIP.items():
                    rest = rest.replace(word, other, 1)
            return own + rest
    return name
