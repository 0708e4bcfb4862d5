"""Pictures of diffusers' pipelines, from the same tiny weights and the same initial noise."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import jax
import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

import diffusers_pairs
from diffusers import (
    StableDiffusionImg2ImgPipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
)
from diffusers_pairs import (
    HEIGHT,
    SAMPLERS,
    WIDTH,
    Pair,
    assert_same_pictures,
    draw_theirs,
    drawn,
    order_of,
    pair_of,
)
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from tiny_models import uniform

from jaxsd.adapters.lora import initial_lora
from jaxsd.adapters.lora_writing import write_lora_kohya, write_lora_peft
from jaxsd.convert.files.safetensors_file import write_safetensors
from jaxsd.convert.files.tensors import in_memory
from jaxsd.pipeline.batches import image_keys
from jaxsd.sampling.latents import INITIAL_NOISE, noise_of

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore::FutureWarning")]


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize(
    "family", ["sd1", "sdxl", pytest.param("sd2-v", marks=pytest.mark.release)]
)
def test_guidance_and_negative_prompts(family: str, sampler: str) -> None:
    pair = pair_of(family)
    kind = StableDiffusionXLPipeline if family == "sdxl" else StableDiffusionPipeline
    want = draw_theirs(pair, kind, sampler, guidance_scale=7.5)
    order = order_of(pair, sampler, guidance_scale=7.5)
    assert_same_pictures(drawn(pair, order), pair, want)


@pytest.mark.parametrize("sampler", ["ddim", "euler", "dpm++_2m"])
def test_callbacks_see_and_change_the_same_latents(sampler: str) -> None:
    pair, seen = pair_of("sd1"), {"ours": [], "theirs": []}

    def callback(pipe: object, step: int, timestep: object, tensors: dict) -> dict:
        channels = -1 if type(pipe) is type(pair.ours) else 1
        whose = "ours" if channels == -1 else "theirs"
        latents = np.moveaxis(np.asarray(tensors["latents"]), channels, -1)
        seen[whose].append((step, float(timestep), latents))
        return {"latents": tensors["latents"] * (0.9 if step == 4 else 1)}

    kind = StableDiffusionPipeline
    want = draw_theirs(pair, kind, sampler, guidance_scale=7.5, callback_on_step_end=callback)
    order = order_of(pair, sampler, guidance_scale=7.5)
    drawing = pair.ours.drawn(order, callback_on_step_end=callback)
    assert_same_pictures(drawing, pair, want)
    for ours, theirs in zip(seen["ours"], seen["theirs"], strict=True):
        assert ours[0] == theirs[0]
        assert abs(ours[1] - theirs[1]) < 1
        assert np.abs(ours[2] - theirs[2]).max() < 1e-4 * np.abs(theirs[2]).max()


def test_no_negative_prompt_is_zeros_for_xl() -> None:
    pair = pair_of("sdxl")
    options = {"negative_prompt": None, "guidance_scale": 5.0}
    want = draw_theirs(pair, StableDiffusionXLPipeline, "euler", **options)
    assert_same_pictures(drawn(pair, order_of(pair, "euler", **options)), pair, want)


def test_guidance_rescale() -> None:
    pair = pair_of("sd2-v")
    options = {"guidance_scale": 7.5, "guidance_rescale": 0.7}
    want = draw_theirs(pair, StableDiffusionPipeline, "ddim", **options)
    assert_same_pictures(drawn(pair, order_of(pair, "ddim", **options)), pair, want)


@pytest.mark.parametrize("scale", [0.0, 0.5, 1.0])
def test_no_guidance_in_one_program(scale: float) -> None:
    pair = pair_of("sd1")
    want = draw_theirs(pair, StableDiffusionPipeline, "ddim", guidance_scale=scale)
    order = order_of(pair, "ddim", guidance_scale=scale)
    assert_same_pictures(pair.ours.drawn(order), pair, want)


# Adapters: diffusers loads the same files into the same model.


@pytest.fixture
def sd1() -> Iterator[Pair]:
    """The tiny SD 1, without adapters again afterwards."""
    pair = pair_of("sd1")
    yield pair
    pair.theirs.unload_lora_weights()


def lora_in(path: Path, pair: Pair, write: Callable, patterns: Sequence[str], rank: int) -> Path:
    """A LoRA whose product is about as large as the kernels."""
    key = jax.random.key(rank)
    lora = initial_lora(pair.ours.params, patterns, rank=rank, alpha=1.5, key=key)
    for name, factors in lora.items():
        factors["up"] = uniform(name, factors["up"].shape)
    write(path, lora, pair.ours.spec)
    return path


def assert_same_adapted(pair: Pair, **options: object) -> None:
    kind = StableDiffusionPipeline if len(pair.ours.spec.text) == 1 else StableDiffusionXLPipeline
    want = draw_theirs(pair, kind, "ddim", guidance_scale=7.5)
    order = order_of(pair, "ddim", guidance_scale=7.5, **options)
    assert_same_pictures(drawn(pair, order), pair, want)


def test_several_loras_with_strengths_for_unet_and_text(sd1: Pair, tmp_path: Path) -> None:
    """Both formats at once, of other ranks and kernels."""
    some = ["mid_block.*(attn1|conv1)", "conv_in", "linear_1", "text/.*fc1"]
    first = lora_in(tmp_path / "a.safetensors", sd1, write_lora_peft, some, 3)
    second = lora_in(
        tmp_path / "b.safetensors", sd1, write_lora_kohya, ["mid_block.*attn", "layers_1/"], 1
    )
    sd1.theirs.load_lora_weights(first, adapter_name="a")
    sd1.theirs.load_lora_weights(second, adapter_name="b")
    sd1.theirs.set_adapters(["a", "b"], [{"unet": 0.7, "text_encoder": 0.3}, 0.4])
    assert_same_adapted(sd1, lora=[f"{first}:0.7:0.3", f"{second}:0.4"])


def test_dora_of_peft(sd1: Pair, tmp_path: Path) -> None:
    """Of dense layers and of a convolution."""
    torch.manual_seed(0)
    names = ["to_q", "conv1"]
    config = LoraConfig(r=2, lora_alpha=3.0, target_modules=names, use_dora=True)
    unet = sd1.theirs.unet
    unet.add_adapter(config)
    for name, parameter in unet.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.3)
        elif "lora_magnitude_vector" in name:
            parameter.data *= torch.linspace(0.5, 1.5, parameter.numel()).reshape(parameter.shape)
    sd1.theirs.save_lora_weights(
        tmp_path,
        unet_lora_layers=get_peft_model_state_dict(unet),
        unet_lora_adapter_metadata=config.to_dict() | {"target_modules": names},
    )
    assert_same_adapted(sd1, lora=str(next(tmp_path.glob("*.safetensors"))))


def test_a_word_of_several_vectors(tmp_path: Path) -> None:
    """Webui's form, in place of words of the prompt."""
    pair = pair_of.__wrapped__("sd1")  # diffusers keeps words for ever
    path = tmp_path / "toy.safetensors"
    write_safetensors(path, {"emb_params": in_memory(uniform("toy", (3, 32)))}, {})
    pair.theirs.load_textual_inversion(path, token="red apple")
    assert_same_adapted(pair, embedding=f"'red apple={path}'")


def test_a_word_of_xl_for_both_encoders(tmp_path: Path) -> None:
    """Webui's form for XL, whose tensors diffusers loads one by one."""
    pair = pair_of.__wrapped__("sdxl")
    vectors = {"clip_l": uniform("l", (2, 32)), "clip_g": uniform("g", (2, 48))}
    path = tmp_path / "toy.safetensors"
    write_safetensors(path, {name: in_memory(array) for name, array in vectors.items()}, {})
    for array, ending in zip(vectors.values(), ("", "_2"), strict=True):
        pair.theirs.load_textual_inversion(
            {"red apple": torch.from_numpy(np.array(array))},
            text_encoder=getattr(pair.theirs, f"text_encoder{ending}"),
            tokenizer=getattr(pair.theirs, f"tokenizer{ending}"),
        )
    assert_same_adapted(pair, embedding=f"'red apple={path}'")


def test_latents_are_enlarged_as_webui_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = pair_of("sd1")
    large = (HEIGHT * 2, WIDTH * 2)
    hires = {"hires": 2.0, "hires_strength": 0.5, "hires_steps": 4}
    order = order_of(pair, "euler", steps=2, guidance_scale=7.5, **hires)
    small = draw_theirs(pair, StableDiffusionPipeline, "euler", num_inference_steps=2)
    # webui's "Latent".
    options = {"size": tuple(side // 8 for side in large), "mode": "bilinear", "antialias": False}
    enlarged = torch.nn.functional.interpolate(small, **options)
    noise = noise_of(image_keys([0, 1]), INITIAL_NOISE, (*options["size"], 4))
    monkeypatch.setattr(diffusers_pairs, "NOISE", np.asarray(noise))
    told = {"image": enlarged, "strength": 0.5, "num_inference_steps": 4}
    want = draw_theirs(pair, StableDiffusionImg2ImgPipeline, "euler", **told)
    assert_same_pictures(drawn(pair, order), pair, want)
