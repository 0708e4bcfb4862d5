"""Drawings with adapters: diffusers loads the same files into the same tiny model."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

from diffusers import StableDiffusionPipeline
from diffusers_pairs import Pair, assert_same_pictures, draw_theirs, drawn, order_of, pair_of
from lora_fakes import random_lora
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from tiny_models import uniform

from jaxsd.adapters.lora_writing import write_lora_kohya, write_lora_peft
from jaxsd.convert.files.safetensors_file import write_safetensors
from jaxsd.convert.files.tensors import in_memory

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore::FutureWarning")]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """The tiny SD 1, without adapters again afterwards."""
    found = pair_of("sd1")
    yield found
    found.theirs.unload_lora_weights()


def written(path: Path, pair: Pair, write=write_lora_peft, **random) -> Path:
    """A LoRA whose product is about as large as the kernels."""
    lora = random_lora(pair.ours.spec, **random)
    for factors in lora.values():
        factors["down"] *= np.float32(np.prod(factors["down"].shape[:-1]) ** -0.5)
    write(path, lora, pair.ours.spec)
    return path


def assert_same(pair: Pair, **options) -> None:
    want = draw_theirs(pair, StableDiffusionPipeline, "ddim", guidance_scale=5.0)
    order = order_of(pair, "ddim", guidance_scale=5.0, **options)
    assert_same_pictures(drawn(pair, order), pair, want)


def test_several_loras_with_strengths_for_unet_and_text(pair, tmp_path):
    """Both formats at once, of other ranks, alphas and kernels."""
    first = written(tmp_path / "a.safetensors", pair, ranks=(2, 3), alphas=(2.0, 1.5))
    second = written(
        tmp_path / "b.safetensors", pair, write_lora_kohya, patterns=["attn2"], ranks=(1,)
    )
    pair.theirs.load_lora_weights(first, adapter_name="a")
    pair.theirs.load_lora_weights(second, adapter_name="b")
    pair.theirs.set_adapters(["a", "b"], [{"unet": 0.7, "text_encoder": 0.3}, 0.4])
    assert_same(pair, lora=[f"{first}:0.7:0.3", f"{second}:0.4"])


def test_dora_of_peft(pair, tmp_path):
    torch.manual_seed(0)
    config = LoraConfig(
        r=2, lora_alpha=3.0, target_modules=["to_q", "to_v", "conv1"], use_dora=True
    )
    unet = pair.theirs.unet
    unet.add_adapter(config)
    for name, parameter in unet.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.3)
        elif "lora_magnitude_vector" in name:
            parameter.data *= torch.linspace(0.5, 1.5, parameter.numel()).reshape(parameter.shape)
    pair.theirs.save_lora_weights(
        tmp_path,
        unet_lora_layers=get_peft_model_state_dict(unet),
        unet_lora_adapter_metadata=config.to_dict() | {"target_modules": ["to_q"]},
    )
    assert_same(pair, lora=str(next(tmp_path.glob("*.safetensors"))))


def test_a_word_of_several_vectors(tmp_path):
    """Webui's form, in place of words of the prompt."""
    pair = pair_of.__wrapped__("sd1")  # diffusers keeps words for ever
    path = tmp_path / "toy.safetensors"
    write_safetensors(path, {"emb_params": in_memory(uniform("toy", (3, 32)))}, {})
    pair.theirs.load_textual_inversion(path, token="red apple")
    assert_same(pair, embedding=f"'red apple={path}'")
