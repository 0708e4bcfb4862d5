"""Live against torch, diffusers and transformers: their files in, and their loaders on ours."""

import functools
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

torch = pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")
transformers = pytest.importorskip("transformers")

from convert_fakes import assert_same, random_model
from safetensors.torch import load_file, save_file
from tiny_models import TINY
from torch_twins import load, text_twin, unet_twin, vae_twin

from jaxsd import convert
from jaxsd.config import ModelSpec
from jaxsd.convert.files.weight_files import open_weights
from jaxsd.text import clip_tokenizer, write_tokenizer
from jaxsd.types import Params

pytestmark = pytest.mark.parity

PIPELINES = {
    "sd1": "StableDiffusionPipeline",
    "sd2": "StableDiffusionPipeline",
    "sd2-v": "StableDiffusionPipeline",
    "sdxl": "StableDiffusionXLPipeline",
    "sdxl-refiner": "StableDiffusionXLImg2ImgPipeline",
    "sd1-inpainting": "StableDiffusionInpaintPipeline",
    "lcm": "StableDiffusionPipeline",
    "emoji": "StableDiffusionPipeline",
}
SCHEDULE = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "steps_offset": 1,
    "timestep_spacing": "leading",
}
families = pytest.mark.parametrize("family", PIPELINES)


def spec_of(family: str) -> ModelSpec:
    """A tiny model with CLIP's vocabulary, as it comes back from a folder."""
    spec = TINY[family]
    text = tuple(
        replace(text, vocab_size=49408, pad_token=text.pad_token and 49407) for text in spec.text
    )
    schedule = replace(spec.schedule, timestep_spacing="leading")
    return replace(spec, family="custom", text=text, schedule=schedule)


def pipeline(family: str, folder) -> "diffusers.DiffusionPipeline":
    """A pipeline of twins with torch's own random weights, its tokenizers from files."""
    torch.manual_seed(0)
    spec = spec_of(family)
    xl = spec.unet.added is not None
    names = ["text_encoder", "text_encoder_2"][-len(spec.text) :] if xl else ["text_encoder"]
    parts = {"feature_extractor": None}
    if xl:
        parts |= dict.fromkeys(("text_encoder", "tokenizer"))
    else:
        parts |= {"safety_checker": None, "requires_safety_checker": False}
    for name, config in zip(names, spec.text, strict=True):
        write_tokenizer(folder / name, clip_tokenizer(config))
        parts[name] = text_twin(config)
        parts[name.replace("text_encoder", "tokenizer")] = (
            transformers.CLIPTokenizer.from_pretrained(folder / name)
        )
    prediction = "v_prediction" if spec.prediction == "v" else "epsilon"
    unet = unet_twin(spec.unet, linear_projection=spec.layout.linear_projection)
    unet.register_to_config(sample_size=8)
    if family == "sdxl-refiner":
        parts |= {"requires_aesthetics_score": True, "force_zeros_for_empty_prompt": False}
    return getattr(diffusers, PIPELINES[family])(
        unet=unet,
        vae=vae_twin(spec.vae),
        scheduler=diffusers.DDIMScheduler(
            **SCHEDULE, set_alpha_to_one=False, clip_sample=False, prediction_type=prediction
        ),
        **parts,
    )


class Saved(NamedTuple):
    """A pipeline, its folder by diffusers, and that folder as we read it."""

    pipe: "diffusers.DiffusionPipeline"
    folder: Path
    spec: ModelSpec
    params: Params


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Callable[[str], Saved]:
    """Makes one of a family, once."""

    @functools.cache
    def of(family: str) -> Saved:
        parent = tmp_path_factory.mktemp(family)
        pipe = pipeline(family, parent / "tokenizers")
        pipe.save_pretrained(parent / "theirs")
        return Saved(pipe, parent / "theirs", *convert.read(parent / "theirs"))

    return of


def modules(pipe) -> dict[str, torch.nn.Module]:
    names = ("unet", "vae", "text_encoder", "text_encoder_2")
    return {name: getattr(pipe, name) for name in names if getattr(pipe, name, None) is not None}


def outputs(pipe) -> dict[str, np.ndarray]:
    """What each network makes of the same inputs."""
    generator = torch.Generator().manual_seed(1)

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    config = pipe.unet.config
    added = {}
    if config.addition_embed_type:
        pooled = pipe.text_encoder_2.config.projection_dim
        ids = config.projection_class_embeddings_input_dim - pooled
        time_ids = torch.arange(ids // config.addition_time_embed_dim).float()[None]
        added = {"added_cond_kwargs": {"text_embeds": noise(1, pooled), "time_ids": time_ids}}
    if config.time_cond_proj_dim:
        added["timestep_cond"] = noise(1, config.time_cond_proj_dim)
    context = noise(1, 5, config.cross_attention_dim)
    ids = torch.tensor([[49406, 320, 1125, 49407, 0]])
    with torch.no_grad():
        found = {
            "unet": pipe.unet(noise(1, config.in_channels, 8, 8), 500, context, **added)[0],
            "encoder": pipe.vae.encode(noise(1, 3, 32, 32)).latent_dist.parameters,
            "decoder": pipe.vae.decode(noise(1, 4, 4, 4))[0],
        }
        for name, encoder in modules(pipe).items():
            if name.startswith("text"):
                out = encoder(ids, output_hidden_states=True)
                found |= {name: out[0], f"{name}.hidden": out.hidden_states[-2]}
    return {name: value.numpy() for name, value in found.items()}


def aligned(pipe):
    """The pipeline with weights in memory of torch's own, not in a mapped file.

    Where a tensor lies decides which kernels the CPU library takes, and so the last bits.
    """
    for module in modules(pipe).values():
        for parameter in module.parameters():
            parameter.data = parameter.data.clone()
    return pipe


def assert_unchanged(got, want) -> None:
    """Every tensor and every output of two pipelines is the same to the last bit."""
    assert modules(got).keys() == modules(want).keys()
    for name, module in modules(want).items():
        state, other = module.state_dict(), modules(got)[name].state_dict()
        assert state.keys() == other.keys()
        for key, tensor in state.items():
            assert torch.equal(other[key], tensor), f"{name}.{key}"
    found = outputs(aligned(got))
    for name, value in outputs(aligned(want)).items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


@families
def test_folder_round_trip(tmp_path, saved, family):
    pipe, _, spec, params = saved(family)
    assert spec == spec_of(family)
    convert.write_diffusers(tmp_path / "ours", spec, params)
    again = diffusers.DiffusionPipeline.from_pretrained(tmp_path / "ours")
    assert type(again).__name__ == PIPELINES[family]
    assert_unchanged(again, pipe)
    for key in ("prediction_type", "beta_start", "beta_end", "steps_offset"):
        assert again.scheduler.config[key] == pipe.scheduler.config[key]
    if family == "sdxl-refiner":
        assert again.config.requires_aesthetics_score
    for name, tokenizer in zip(("tokenizer_2", "tokenizer"), spec.text[::-1], strict=False):
        if getattr(again, name, None) is not None:
            words = getattr(again, name)(["a red apple"], padding="max_length").input_ids[0]
            assert words[-1] == tokenizer.pad_token


@families
def test_trees_are_the_twins(saved, family):
    """Every parameter is where the twins' own mapping, which is not the converter's, has it."""
    pipe, _, _, params = saved(family)
    texts = [part for name, part in modules(pipe).items() if name.startswith("text")]
    pairs = [(pipe.unet, params["unet"]), (pipe.vae, params["vae"])]
    pairs += list(zip(texts, params["text"], strict=True))
    for module, tree in pairs:
        want = {name: tensor.clone() for name, tensor in module.state_dict().items()}
        for name, tensor in load(module, tree).state_dict().items():
            assert torch.equal(tensor, want[name]), name


@pytest.mark.parametrize("family", ["sd1", pytest.param("sdxl", marks=pytest.mark.release)])
@pytest.mark.parametrize("kind", ["bin", "fp16", "sharded"])
def test_other_files_of_a_folder(tmp_path, saved, family, kind):
    pipe, plain, _, want = saved(family)
    if kind == "sharded":
        pipe.save_pretrained(tmp_path / "other", max_shard_size="300KB")
        assert list((tmp_path / "other/unet").glob("*-of-*"))
    elif kind == "fp16":
        want = convert.read(plain, dtype="float16")[1]
        half = diffusers.DiffusionPipeline.from_pretrained(plain, dtype=torch.float16)
        half.save_pretrained(tmp_path / "other", variant="fp16")
        assert not list((tmp_path / "other").rglob("*model.safetensors"))
    else:
        shutil.copytree(plain, tmp_path / "other")
        for name, module in modules(pipe).items():
            stem = "pytorch_model" if name.startswith("text") else "diffusion_pytorch_model"
            weights = next((tmp_path / "other" / name).glob("*.safetensors"))
            torch.save(module.state_dict(), weights.with_name(f"{stem}.bin"))
            weights.unlink()
    assert_same(convert.read(tmp_path / "other", dtype=None)[1], want)


@pytest.mark.parametrize("family", ["sd1", "sd2", "sd2-v", "sdxl", "sdxl-refiner"])
def test_diffusers_loads_single_files(tmp_path, saved, family):
    """`from_single_file`, with the configs of our folder, since there is no network."""
    pipe, _, spec, params = saved(family)
    convert.write_diffusers(tmp_path / "ours", spec, params)
    convert.write_single_file(tmp_path / "model.safetensors", spec, params)
    again = type(pipe).from_single_file(
        tmp_path / "model.safetensors", config=str(tmp_path / "ours"), local_files_only=True
    )
    assert_unchanged(again, pipe)


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("family", ["sd1", "sdxl"])
def test_checkpoints_by_torch(tmp_path, family, legacy):
    spec = spec_of(family)
    params = random_model(spec)
    convert.write_single_file(tmp_path / "a.safetensors", spec, params)
    value = {"state_dict": load_file(tmp_path / "a.safetensors"), "global_step": 7, "epoch": 1}
    torch.save(value, tmp_path / "a.ckpt", _use_new_zipfile_serialization=not legacy)
    tensors, facts = open_weights(tmp_path / "a.ckpt")
    want, _ = open_weights(tmp_path / "a.safetensors")
    assert facts["global_step"] == "7"
    assert tensors.keys() == want.keys()
    for name, tensor in want.items():
        np.testing.assert_array_equal(tensors[name].read(), tensor.read())


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_every_sort_of_tensor(tmp_path, legacy):
    generator = torch.Generator().manual_seed(0)
    base = torch.randn(24, generator=generator)
    state = {
        "plain": base.view(4, 6),
        "transposed": base.view(4, 6).t(),
        "slice": base[5:11],
        "strided": base.view(4, 6)[::2, 1::3],
        "expanded": torch.ones(1),
        "channels_last": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        "scalar": torch.tensor(3),
        "empty": torch.zeros(0, 3),
        "parameter": torch.nn.Parameter(base.clone()),
        "half": base.half(),
        "bfloat16": base.bfloat16(),
        "double": base.double(),
        "flags": base > 0,
        "bytes": torch.arange(5, dtype=torch.uint8),
    }
    if not legacy:
        state |= {"e4m3": base.to(torch.float8_e4m3fn), "e5m2": base.to(torch.float8_e5m2)}
    path = tmp_path / "x.pt"
    torch.save(state, path, _use_new_zipfile_serialization=not legacy)
    tensors, _ = open_weights(path)
    assert tensors.keys() == state.keys()
    for name, tensor in state.items():
        array = tensors[name].read()
        assert array.dtype.name == str(tensor.dtype).removeprefix("torch.")
        want = tensor.detach().to(torch.float64).numpy()
        np.testing.assert_array_equal(array.astype(np.float64), want, err_msg=name)


def test_modules_and_optimizers(tmp_path):
    """What training scripts save: states with metadata, and an optimizer beside them."""
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    optimizer = torch.optim.Adam(module.parameters())
    module(torch.ones(1, 3, 5, 5)).sum().backward()
    optimizer.step()
    value = {"state_dict": module.state_dict(), "optimizer_states": [optimizer.state_dict()]}
    torch.save(value, tmp_path / "x.ckpt")
    tensors, _ = open_weights(tmp_path / "x.ckpt")
    assert tensors.keys() == module.state_dict().keys()


@pytest.mark.parametrize("dtype", ["bfloat16", "float8_e4m3fn", "float8_e5m2"])
def test_narrow_dtypes_of_safetensors(tmp_path, dtype):
    tensor = torch.randn(64).to(getattr(torch, dtype))
    save_file({"x": tensor}, tmp_path / "x.safetensors")
    array = open_weights(tmp_path / "x.safetensors")[0]["x"].read()
    assert array.dtype.name == dtype
    np.testing.assert_array_equal(array.astype(np.float32), tensor.float().numpy())
