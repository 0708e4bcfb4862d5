"""Live against diffusers and PEFT: they load what is written here, and draw the same from it."""

import functools
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")
pytest.importorskip("peft")

from lora_fakes import random_lora
from tiny_models import (
    TINY,
    apply,
    pipeline_params,
    relative_error,
    token_ids,
    unet_inputs,
)
from torch_twins import load, text_twin, unet_twin

from jaxsd.adapters.lora import Lora, merged
from jaxsd.adapters.lora_files import read_lora
from jaxsd.adapters.lora_names import adapted_kernels
from jaxsd.adapters.lora_writing import write_lora_kohya, write_lora_peft
from jaxsd.convert.files.safetensors_file import write_safetensors
from jaxsd.convert.files.tensors import in_memory
from jaxsd.models import TextEncoder, UNet
from jaxsd.parity.modules import run_text, run_unet

pytestmark = pytest.mark.parity

TOLERANCE = 1e-5
"""Of the largest value. The change is as large as the weights, and PyTorch adds it to outputs, not
to weights, so sums are in another order.
"""
FAMILIES = ("sd1", "sdxl")


def small(lora: Lora) -> Lora:
    """Factors whose product is about as large as the kernels."""
    for factors in lora.values():
        factors["down"] *= np.float32(np.prod(factors["down"].shape[:-1]) ** -0.5)
    return lora


@functools.cache
def params_of(family: str):
    return pipeline_params(TINY[family])


def pipeline(family: str):
    """A pipeline of twins with our weights; no tokenizers, no VAE: they take no part."""
    spec, params = TINY[family], params_of(family)
    unet = unet_twin(spec.unet, linear_projection=spec.layout.linear_projection)
    # Twins state it per level; diffusers' reader of XL's names takes a single number.
    unet.register_to_config(layers_per_block=spec.unet.levels[0].resnets)
    texts = [load(text_twin(c), p) for c, p in zip(spec.text, params["text"], strict=True)]
    parts = dict.fromkeys(("vae", "tokenizer", "scheduler"))
    names = ("text_encoder", "text_encoder_2")
    parts |= {"unet": load(unet, params["unet"])} | dict(zip(names, texts, strict=False))
    if family == "sdxl":
        return diffusers.StableDiffusionXLPipeline(tokenizer_2=None, **parts)
    parts |= {"safety_checker": None, "feature_extractor": None}
    return diffusers.StableDiffusionPipeline(requires_safety_checker=False, **parts)


def theirs(pipe, family: str) -> list[np.ndarray]:
    """Outputs of the U-Net and the text encoders."""
    spec = TINY[family]
    found = [run_unet(pipe.unet, unet_inputs(spec.unet))]
    encoders = (pipe.text_encoder, getattr(pipe, "text_encoder_2", None))
    for config, encoder in zip(spec.text, encoders, strict=False):
        found += run_text(encoder, config, token_ids(config))
    return found


def ours(params, family: str) -> list[np.ndarray]:
    spec = TINY[family]
    found = [apply(UNet(spec.unet), params["unet"], **unet_inputs(spec.unet))]
    for config, tree in zip(spec.text, params["text"], strict=True):
        found += apply(TextEncoder(config), tree, ids=token_ids(config))
    return found


def assert_same_outputs(pipe, family: str, lora: Lora, scale: float = 1.0) -> None:
    plain = ours(params_of(family), family)
    want = theirs(pipe, family)
    got = ours(merged(params_of(family), lora, scale), family)
    assert len(got) == len(want)
    for g, w, p in zip(got, want, plain, strict=True):
        assert relative_error(g, w) <= TOLERANCE
        assert relative_error(p, w) > 0.05  # that it did change something


WRITERS = {"peft": write_lora_peft, "kohya": write_lora_kohya}


@pytest.mark.parametrize("family", ["sd1", pytest.param("sdxl", marks=pytest.mark.release)])
@pytest.mark.parametrize("form", WRITERS)
def test_diffusers_loads_what_is_written(tmp_path, family, form):
    """Every kernel of U-Net and text encoders; alpha is not the rank."""
    lora = small(random_lora(TINY[family], ranks=(3,), alphas=(1.5,)))
    path = tmp_path / "lora.safetensors"
    WRITERS[form](path, lora, TINY[family])
    pipe = pipeline(family)
    pipe.load_lora_weights(path)
    assert_same_outputs(pipe, family, lora)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("patterns", [["attn1"], ["text/.*fc1"], ["conv1/", "q_proj"]])
def test_parts_of_a_model(tmp_path, family, patterns):
    """Few kernels, of ranks and alphas that differ."""
    lora = small(random_lora(TINY[family], patterns, ranks=(1, 4), alphas=(1.0, 2.0, 3.0)))
    path = tmp_path / "lora.safetensors"
    write_lora_peft(path, lora, TINY[family])
    pipe = pipeline(family)
    pipe.load_lora_weights(path)
    got, want = ours(merged(params_of(family), lora), family), theirs(pipe, family)
    assert max(map(relative_error, got, want)) <= TOLERANCE


@pytest.mark.parametrize(
    ("family", "options"),
    [
        ("sd1", {}),
        ("sdxl", {}),
        ("sd1", {"use_rslora": True, "rank_pattern": {"fc2": 3}}),
        ("sd1", {"lora_bias": True}),
    ],
)
def test_what_diffusers_saves_is_read(tmp_path, family, options):
    from peft import LoraConfig
    from peft.utils import get_peft_model_state_dict

    torch.manual_seed(0)
    pipe = pipeline(family)
    layers, metadata = {}, {}
    for name in ("unet", "text_encoder", "text_encoder_2"):
        module = getattr(pipe, name, None)
        if module is None:
            continue
        names = ["to_q", "to_out.0", "conv1"] if name == "unet" else ["q_proj", "fc2"]
        if "lora_bias" in options:  # which layers without a bias have no place for
            names = [one for one in names if one != "to_q"]
        told = {"lora_alpha": 3.0, "target_modules": names, "init_lora_weights": False}
        config = LoraConfig(r=2, **told, **options)
        module.add_adapter(config)
        layers[f"{name}_lora_layers"] = get_peft_model_state_dict(module)
        metadata[f"{name}_lora_adapter_metadata"] = config.to_dict() | {"target_modules": names}
    pipe.save_lora_weights(tmp_path, **layers, **metadata)
    lora = read_lora(next(Path(tmp_path).glob("*.safetensors")), TINY[family])
    if not options:
        assert {float(factors["alpha"]) for factors in lora.values()} == {3.0}
    got, want = ours(merged(params_of(family), lora), family), theirs(pipe, family)
    assert max(map(relative_error, got, want)) <= TOLERANCE


def numbered(module: torch.nn.Module, classes: set[str]) -> list[str]:
    """Names of the dense layers within modules of some classes, as cloneofsimo counts them."""
    return [
        f"{name}.{inner}"
        for name, ancestor in module.named_modules()
        if type(ancestor).__name__ in classes
        for inner, layer in ancestor.named_modules()
        if isinstance(layer, torch.nn.Linear)
    ]


def test_numbers_of_cloneofsimo_count_torchs_modules(tmp_path):
    """Every layer has factors of its own number, and they are found under its name."""
    spec = TINY["sd1"]
    unet = unet_twin(spec.unet, linear_projection=spec.layout.linear_projection)
    layers = {
        "unet": numbered(unet, {"CrossAttention", "Attention", "GEGLU"}),
        "text_encoder": numbered(text_twin(spec.text[0]), {"CLIPAttention"}),
    }
    tensors, wanted = {}, {}
    for part, names in layers.items():
        for n, name in enumerate(names):
            module = name.removeprefix("text_model.")
            [kernel] = [
                one
                for one in adapted_kernels(spec).values()
                if (one.part, one.module.removeprefix("text_model.")) == (part, module)
            ]
            tensors[f"{part}:{n}:up"] = in_memory(np.full((kernel.shape[1], 1), n, np.float32))
            tensors[f"{part}:{n}:down"] = in_memory(np.ones((1, kernel.shape[0]), np.float32))
            wanted[kernel.path] = n
    write_safetensors(tmp_path / "x.safetensors", tensors, {})
    lora = read_lora(tmp_path / "x.safetensors", spec)
    assert {path: int(factors["up"][0, 0]) for path, factors in lora.items()} == wanted
    assert len(wanted) > 40
