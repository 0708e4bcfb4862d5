"""Records adapters of every kind as LyCORIS writes them, and the weights that it makes of them.

python tools/record_adapter_goldens.py     # tests/goldens/adapters.npz; needs lycoris-lora
"""

import argparse
import importlib.metadata
from pathlib import Path

import numpy as np
import torch
from lycoris.modules.boft import ButterflyOFTModule
from lycoris.modules.diag_oft import DiagOFTModule
from lycoris.modules.full import FullModule
from lycoris.modules.glora import GLoRAModule
from lycoris.modules.ia3 import IA3Module
from lycoris.modules.locon import LoConModule
from lycoris.modules.loha import LohaModule
from lycoris.modules.lokr import LokrModule
from lycoris.modules.norms import NormModule

TO_Q = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
CONV_IN = "lora_unet_conv_in"
NORM = "lora_unet_conv_norm_out"
LAYERS = {
    TO_Q: lambda: torch.nn.Linear(32, 32, bias=False),
    CONV_IN: lambda: torch.nn.Conv2d(4, 32, 3, padding=1),
    NORM: lambda: torch.nn.GroupNorm(8, 32),
}
"""Layers of the tiny SD 1 of the tests."""

LOW = {"lora_dim": 2, "alpha": 1.5}
CASES = {
    "locon": (LoConModule, TO_Q, LOW),
    "locon_conv": (LoConModule, CONV_IN, LOW),
    "locon_tucker": (LoConModule, CONV_IN, LOW | {"use_tucker": True}),
    "dora": (LoConModule, TO_Q, LOW | {"weight_decompose": True}),
    "dora_by_inputs": (LoConModule, CONV_IN, LOW | {"weight_decompose": True, "wd_on_out": False}),
    "loha": (LohaModule, TO_Q, LOW),
    "loha_conv": (LohaModule, CONV_IN, LOW),
    "loha_tucker": (LohaModule, CONV_IN, LOW | {"use_tucker": True}),
    "loha_dora": (LohaModule, TO_Q, LOW | {"weight_decompose": True}),
    "lokr": (LokrModule, TO_Q, LOW | {"factor": 4}),
    "lokr_whole": (LokrModule, TO_Q, LOW | {"lora_dim": 100, "factor": 4}),
    "lokr_both": (LokrModule, TO_Q, {"lora_dim": 1, "alpha": 1.5, "decompose_both": True}),
    "lokr_conv": (LokrModule, CONV_IN, LOW | {"factor": 2}),
    "lokr_tucker": (LokrModule, CONV_IN, LOW | {"factor": 2, "use_tucker": True}),
    "oft": (DiagOFTModule, TO_Q, {"lora_dim": 4}),
    "oft_conv": (DiagOFTModule, CONV_IN, {"lora_dim": 8}),
    "oft_constraint": (DiagOFTModule, TO_Q, {"lora_dim": 4, "constraint": 0.1}),
    "oft_rescaled": (DiagOFTModule, CONV_IN, {"lora_dim": 4, "rescaled": True}),
    "boft": (ButterflyOFTModule, TO_Q, {"lora_dim": 4}),
    "boft_conv": (ButterflyOFTModule, CONV_IN, {"lora_dim": 8, "constraint": 0.1}),
    "boft_rescaled": (ButterflyOFTModule, TO_Q, {"lora_dim": 8, "rescaled": True}),
    "glora": (GLoRAModule, TO_Q, LOW),
    "glora_conv": (GLoRAModule, CONV_IN, LOW),
    "ia3": (IA3Module, TO_Q, {}),
    "ia3_conv": (IA3Module, CONV_IN, {}),
    "ia3_inputs": (IA3Module, TO_Q, {"train_on_input": True}),
    "ia3_conv_inputs": (IA3Module, CONV_IN, {"train_on_input": True}),
    "full": (FullModule, CONV_IN, {}),
    "norm": (NormModule, NORM, {}),
}
STRENGTH = 0.7
"""At which weights are merged, but for those of `WHOLE`."""
WHOLE = ("dora", "rescaled")
"""Parts of cases' names: LyCORIS does not scale all of their change."""


def record(case: str) -> dict[str, np.ndarray]:
    """Weights of a layer before and after, and the tensors of the file."""
    kind, name, options = CASES[case]
    torch.manual_seed(len(case))
    layer = LAYERS[name]()
    torch.nn.init.normal_(layer.weight)
    adapter = kind(name, layer, 1.0, **options)
    for parameter in adapter.parameters():
        torch.nn.init.normal_(parameter)
    if "dora" in case:
        adapter.dora_scale.data.abs_()
    adapter.multiplier = 1.0 if any(word in case for word in WHOLE) else STRENGTH
    if kind in (FullModule, NormModule):
        weight, bias = adapter.get_merged_weight(adapter.multiplier)
    else:
        weight, bias = seen_weight(adapter, layer), None
    found = {"before": layer.weight, "after": weight}
    if bias is not None:
        found |= {"bias_before": layer.bias, "bias_after": bias}
    if kind is FullModule:  # which holds the difference until it is applied
        own = {"diff": adapter.weight, "diff_b": adapter.bias}
    elif kind is NormModule:
        own = {"w_norm": adapter.w_norm, "b_norm": adapter.b_norm}
    else:
        own = adapter.custom_state_dict() or adapter.state_dict()
    found |= {f"{name}.{key}": value for key, value in own.items()}
    return {f"{case}/{key}": value.detach().numpy() for key, value in found.items()}


def seen_weight(adapter: torch.nn.Module, layer: torch.nn.Module) -> torch.Tensor:
    """The weight that an adapted layer applies, from its answers to impulses.

    `get_merged_weight` of LyCORIS 4.1.3 scales LoHa and LoKr by alpha / rank twice; their
    `forward`, which is trained, does it once.
    """
    adapter.eval()
    if isinstance(layer, torch.nn.Linear):
        return adapter(torch.eye(layer.in_features)).T
    impulses = torch.zeros(layer.in_channels, layer.in_channels, 3, 3)
    impulses[range(layer.in_channels), range(layer.in_channels), 1, 1] = 1
    seen = adapter(impulses) - layer.bias.reshape(-1, 1, 1)
    return seen.transpose(0, 1).flip(2, 3)


def main() -> None:
    """Writes the file."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("tests/goldens/adapters.npz"))
    args = parser.parse_args()
    arrays = {key: array for case in CASES for key, array in record(case).items()}
    versions = [f"{name} {importlib.metadata.version(name)}" for name in ("lycoris-lora", "torch")]
    np.savez_compressed(args.out, versions=np.array(versions), **arrays)
    print(f"{args.out}: {len(CASES)} adapters, {args.out.stat().st_size / 1024:.0f} KB")


if __name__ == "__main__":
    main()
