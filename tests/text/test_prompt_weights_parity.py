"""Weighted prompts against webui's, ComfyUI's and compel's arithmetic, written here in torch.

The words and weights of each prompt are those of `prompt_cases`, not of our parser. webui
multiplies the tokens of a chunk and restores its mean; ComfyUI goes from the empty prompt's tokens
to the prompt's by the weight; compel does so too, and takes the mean with the prompts that have one
of the weak words masked, of weight tan((1 - w) * pi / 2). Each text encoder of XL is for itself.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import replace

import jax
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from prompt_cases import CHUNKS, SEVERAL_CHUNKS, Words
from prompt_cases import TOKENIZER as FIRST
from tiny_models import TINY, abstract_text, random_params, relative_error
from torch_twins import load, text_twin

from jaxsd.config import ModelSpec, TextConfig
from jaxsd.models import VAE, TextEncoder, UNet
from jaxsd.pipeline.texts import banks_of, texts_of
from jaxsd.sampling.call import Networks
from jaxsd.sampling.texts import encoded_texts
from jaxsd.settings import Settings, checked
from jaxsd.text import Tokenizer

pytestmark = pytest.mark.parity

TOLERANCE = 2e-5
"""Of the largest value: float32."""
SECOND = Tokenizer(FIRST.vocabulary, FIRST.max_length, 0)
PROMPTS = list(CHUNKS)


def spec_of(family: str) -> ModelSpec:
    tiny = TINY[family]
    sizes = {"vocab_size": 614, "layers": 2}
    return replace(tiny, text=tuple(replace(config, **sizes) for config in tiny.text))


def tokenizers_of(spec: ModelSpec) -> list[Tokenizer]:
    return [SECOND if config.pad_token == 0 else FIRST for config in spec.text]


@functools.cache
def twin_of(config: TextConfig) -> torch.nn.Module:
    return load(text_twin(config), random_params(abstract_text(config)))


@functools.cache
def encoded(
    config: TextConfig, ids: tuple[int, ...], mask: tuple[bool, ...] = (), skip: int | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Context [L, d] and pooled vector, as webui, ComfyUI and diffusers take them."""
    twin = twin_of(config)
    with torch.no_grad():
        given = {"attention_mask": torch.tensor(mask).long()[None]} if mask else {}
        out = twin(torch.tensor(ids)[None], output_hidden_states=True, **given)
        layer = -skip if skip else config.hidden_layer
        context = out.hidden_states[layer]
        if config.hidden_layer == -1:
            context = getattr(twin, "text_model", twin).final_layer_norm(context)
    pooled = out.pooler_output if config.projection_dim is None else out.text_embeds
    return context[0], pooled[0]


def row(ids: np.ndarray) -> tuple[int, ...]:
    return tuple(ids.tolist())


def framed(words: Words, tokenizer: Tokenizer) -> tuple[tuple[int, ...], np.ndarray, np.ndarray]:
    """Ids, weights and numbers of the words of a chunk."""
    ids = [tokenizer.encode([text])[0] for text, _ in words]
    weight, number, place = np.ones(77, np.float32), np.full(77, -1), 1
    for i, (own, (_, each)) in enumerate(zip(ids, words, strict=True)):
        weight[place : place + len(own)] = each
        number[place : place + len(own)] = i
        place += len(own)
    return row(tokenizer.framed([[token for own in ids for token in own]])[0]), weight, number


def webui(config: TextConfig, tokenizer: Tokenizer, words: Words) -> torch.Tensor:
    ids, weight, _ = framed(words, tokenizer)
    z, _ = encoded(config, ids)
    weighted = z * torch.from_numpy(weight)[:, None]
    return weighted * (z.mean() / weighted.mean())


def comfy(
    config: TextConfig, tokenizer: Tokenizer, words: Words, hidden: int | None = None
) -> torch.Tensor:
    ids, weight, number = framed(words, tokenizer)
    z, _ = encoded(config, ids, () if hidden is None else row(number != hidden))
    empty, _ = encoded(config, row(tokenizer([""])[0]))
    return torch.lerp(empty, z, torch.from_numpy(weight)[:, None])


def compel(config: TextConfig, tokenizer: Tokenizer, words: Words) -> torch.Tensor:
    total, parts = comfy(config, tokenizer, words), 1.0
    for i, (_, weight) in enumerate(words):
        if weight < 1:
            share = math.tan((1 - max(weight, 1e-5)) * math.pi / 2)
            total, parts = total + share * comfy(config, tokenizer, words, i), parts + share
    return total / parts


THEIRS: dict[str, Callable[[TextConfig, Tokenizer, Words], torch.Tensor]] = {
    "webui": webui,
    "comfy": comfy,
    "compel": compel,
}


def ours(spec: ModelSpec, prompts: list[str], **options: object) -> tuple[np.ndarray, np.ndarray]:
    settings = [checked(Settings(one, guidance_scale=1.0, **options), spec) for one in prompts]
    texts = texts_of(spec, tokenizers_of(spec), settings, banks_of(spec, settings))
    encoders = tuple(TextEncoder(config) for config in spec.text)
    networks = Networks(UNet(spec.unet), VAE(spec.vae), encoders)
    params = {"text": [random_params(abstract_text(config)) for config in spec.text]}
    return jax.jit(encoded_texts, static_argnums=0)(networks, params, texts)


def theirs(spec: ModelSpec, kind: str, prompt: str) -> torch.Tensor:
    pairs = list(zip(spec.text, tokenizers_of(spec), strict=True))
    chunks = [
        torch.cat([THEIRS[kind](*pair, words) for pair in pairs], dim=-1)
        for words in CHUNKS[prompt]
    ]
    return torch.cat(chunks)


@pytest.mark.parametrize(
    ("family", "kind"),
    [("sd1", "webui"), ("sd1", "comfy"), ("sd2", "compel"), ("sdxl", "webui"), ("sdxl", "compel")],
)
def test_weights_of_sixty_prompts(family: str, kind: str) -> None:
    spec, worst = spec_of(family), 0.0
    context, pooled = ours(spec, PROMPTS, prompt_weights=kind)
    for i, prompt in enumerate(PROMPTS):
        want = theirs(spec, kind, prompt).numpy()
        if prompt not in SEVERAL_CHUNKS:
            want = np.tile(want, (2, 1))  # repeated, as `test_prompts.py` says
        worst = max(worst, relative_error(context[i, 0], want))
        if pooled is not None:
            ids = framed(CHUNKS[prompt][0], SECOND)[0]
            plain = encoded(spec.text[-1], ids)[1].numpy()
            worst = max(worst, relative_error(pooled[i, 0], plain))
    print(f"{family} {kind}: {worst:.1e} of {len(PROMPTS)} prompts")
    assert worst < TOLERANCE


def test_mixed_prompts() -> None:
    """ComfyUI's ConditioningAverage: contexts and pooled texts, linearly, after their weights."""
    spec, kind, share = spec_of("sdxl"), "compel", 0.3
    pair = "a (cat:1.2) sits", "(a [red] cat)"
    told = {"prompt_weights": kind, "blend_prompt": pair[1], "blend_strength": share}
    context, pooled = ours(spec, [pair[0]], **told)
    one, other = (theirs(spec, kind, prompt) for prompt in pair)
    assert relative_error(context[0, 0], torch.lerp(one, other, share).numpy()) < TOLERANCE
    ends = [framed([(text, 1)], SECOND)[0] for text in ("a cat sits", "a red cat")]
    one, other = (encoded(spec.text[-1], ids)[1] for ids in ends)
    assert relative_error(pooled[0, 0], torch.lerp(one, other, share).numpy()) < TOLERANCE


@pytest.mark.parametrize("family", ["sd1", "sdxl"])
def test_clip_skip(family: str) -> None:
    """SD 1: diffusers' clip_skip N - 1, with the final norm; XL: its N - 2, without."""
    spec = spec_of(family)
    own = 2 if family == "sdxl" else 1
    for skip in {1, 2} - {own}:
        context, pooled = ours(spec, ["a cat"], clip_skip=skip)
        pairs = list(zip(spec.text, tokenizers_of(spec), strict=True))
        both = [
            encoded(config, row(tokenizer(["a cat"])[0]), skip=skip) for config, tokenizer in pairs
        ]
        want = torch.cat([one for one, _ in both], dim=-1).numpy()
        assert relative_error(context[0, 0], want) < TOLERANCE
        if pooled is not None:
            assert relative_error(pooled[0, 0], both[-1][1].numpy()) < TOLERANCE
