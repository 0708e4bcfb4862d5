"""The keys of LoRA files: which kernel of a model each belongs to, and what it is to that."""

import re
from pathlib import Path

from jaxsd.adapters.kinds import KINDS
from jaxsd.adapters.lora_factors import Keys, scalar
from jaxsd.adapters.lora_names import spellings
from jaxsd.config import ModelSpec
from jaxsd.convert.files.tensors import FlatTree
from jaxsd.convert.slots import Mismatch
from jaxsd.terminal import printable

_KEY = re.compile(
    r"(?P<module>.+?)\.(?:"
    r"(?P<down>(?:lora_A(?:\.\w+)?|lora\.down|lora_linear_layer\.down|lora_down|down)\.weight)|"
    r"(?P<up>(?:lora_B(?:\.\w+)?|lora\.up|lora_linear_layer\.up|lora_up|up)\.weight)|"
    r"(?P<mid>lora_mid\.weight)|"
    r"(?P<alpha>alpha)|"
    r"(?P<dora>dora_scale)|"
    r"(?P<magnitude>lora_magnitude_vector(?:\.\w+)?(?:\.weight)?)|"
    r"(?P<diff>diff|w_norm)|"
    r"(?P<bias>diff_b|b_norm)|"
    r"(?P<lora_bias>lora_B(?:\.\w+)?\.bias)|"
    r"(?P<own>hada_(?:w[12]_[ab]|t[12])|lokr_(?:w[12](?:_[ab])?|t2)|[ab][12]\.weight|rescale)|"
    r"(?P<blocks>oft_blocks)|"
    r"(?P<factor>weight)|"
    r"(?P<on_input>on_input)"
    r")"
)
_OTHERS = (
    ("OFT of PEFT", re.compile(r"\.oft_(?!blocks$)")),
    ("BOFT of PEFT", re.compile(r"\.boft_(?!blocks$)")),
)
"""Other kinds of adapter, and a pattern of their keys.

Which turns PEFT makes of the numbers stands in another file, adapter_config.json.
"""


def refuse_others(path: Path, tensors: FlatTree) -> None:
    """Finds out whether a file is of another kind.

    Raises:
      ValueError: it is.
    """
    for kind, pattern in _OTHERS:
        if key := next(filter(pattern.search, tensors), None):
            known = ", ".join(KINDS)
            raise ValueError(
                printable(f"{path} is {kind} ({key}), which turns inputs; merge it by PEFT ")
                + f"(merge_and_unload) and take the model. What can be read is {known}"
            )


def keys_of(path: Path, tensors: FlatTree, spec: ModelSpec) -> Keys:
    """Which kernels a file has factors of."""
    names = spellings(spec)
    keys: Keys = {}
    unknown = []
    for key in tensors:
        match = _KEY.fullmatch(key)
        kernel = names.get(match["module"]) if match else None
        if match and match["factor"] and f"{match['module']}.on_input" not in tensors:
            kernel = None  # of a whole network, and not IA3's
        if kernel is None:
            unknown.append(key)
            continue
        roles = keys.setdefault(kernel, {})
        role = _role(path, match, tensors)
        if role in roles:
            raise ValueError(f"{path} has {key} twice, also as {roles[role]}")
        roles[role] = key
    if unknown:
        raise Mismatch(f"as a LoRA of {spec.family}, {path}", (), unknown, ())
    if not keys:
        raise ValueError(f"{path} is empty, not a LoRA")
    return keys


def _role(path: Path, match: re.Match[str], tensors: FlatTree) -> str:
    """What a tensor is to a kernel, which shapes and values of others may tell as well."""
    if match["blocks"]:
        return "boft_blocks" if len(tensors[match[0]].shape) == 4 else "oft_blocks"
    if match["factor"]:
        on_input = scalar(path, f"{match['module']}.on_input", tensors)
        return "inputs" if on_input else "outputs"
    return match["own"] or match.lastgroup
