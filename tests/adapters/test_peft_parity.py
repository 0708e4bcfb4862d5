"""IA3 and LoRA as PEFT itself saves them, against what PEFT merges."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
peft = pytest.importorskip("peft")

from tiny_models import TINY, uniform

from jaxsd.adapters.kinds import changed
from jaxsd.adapters.lora_files import read_lora
from jaxsd.parity.modules import relative_error

pytestmark = pytest.mark.parity

BLOCK = "down_blocks.0.attentions.0.transformer_blocks.0"
PATH = "unet/down_blocks_0/attentions_0/transformer_blocks_0"


class Layers(torch.nn.Module):
    """Some layers of the tiny SD 1, by their names."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = {
            "attn1.to_k": torch.nn.Linear(32, 32, bias=False),
            "attn2.to_v": torch.nn.Linear(32, 32, bias=False),
            "ff.net.2": torch.nn.Linear(128, 32),
        }
        for name, layer in self.layers.items():
            *within, last = f"{BLOCK}.{name}".split(".")
            place = self
            for part in within:
                if not hasattr(place, part):
                    place.add_module(part, torch.nn.Module())
                place = getattr(place, part)
            place.add_module(last, layer)


TARGETS = ["to_k", "to_v", "ff.net.2"]
CONFIGS = {
    "ia3": lambda: peft.IA3Config(target_modules=TARGETS, feedforward_modules=["ff.net.2"]),
    "lora": lambda: peft.LoraConfig(r=2, lora_alpha=2, target_modules=TARGETS),
}


@pytest.mark.parametrize("kind", CONFIGS)
def test_what_peft_merges(kind: str, tmp_path: Path) -> None:
    layers = Layers()
    before = {name: layer.weight.detach().numpy().copy() for name, layer in layers.layers.items()}
    model = peft.get_peft_model(layers, CONFIGS[kind]())
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            parameter.data = torch.from_numpy(uniform(name, tuple(parameter.shape)))
    model.save_pretrained(tmp_path)
    merged = model.merge_and_unload()
    lora = read_lora(tmp_path / "adapter_model.safetensors", TINY["sd1"])
    after = dict(merged.named_parameters())
    assert len(lora) == 3
    for name, kernel in before.items():
        path = f"{PATH}/{name.replace('.', '/').replace('net/2', 'net_2')}/kernel"
        got = changed(kernel.T, lora[path], 1.0)
        want = after[f"{BLOCK}.{name}.weight"].detach().numpy().T
        assert relative_error(np.asarray(got), want) < 1e-6
        assert relative_error(np.asarray(got), kernel.T) > 0.1
