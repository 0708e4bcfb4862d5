"""The prompts of a batch as arrays: token ids, weights, layers, sizes. Host only."""

import math
import warnings
from collections.abc import Sequence

import numpy as np

from jaxsd.config import ModelSpec
from jaxsd.pipeline.batches import filled
from jaxsd.sampling.texts import Encoded, Interpolated, Mixed, Scaled, Texts
from jaxsd.settings import Settings, is_guided, tableau_of
from jaxsd.settings.bank import Bank, bank_of, chunks_in, common_chunks, helpers_in, texts_in
from jaxsd.settings.plans import skips
from jaxsd.text import Tokenizer
from jaxsd.text.chunks import Chunks, first_chunk, repeated

LEAST_WEIGHT = 1e-5
"""compel's, for weights of 0 and less, whose share would be infinite."""


def any_guided(settings: Sequence[Settings], spec: ModelSpec) -> bool:
    """Whether a batch has negative prompts."""
    return any(is_guided(one, spec) for one in settings)


def banks_of(spec: ModelSpec, settings: Sequence[Settings]) -> list[Bank]:
    """The bank of texts of each image."""
    guided = any_guided(settings, spec)
    return [bank_of(one, tableau_of(one, spec).rows, guided=guided) for one in settings]


def texts_of(
    spec: ModelSpec,
    tokenizers: Sequence[Tokenizer],
    settings: Sequence[Settings],
    banks: Sequence[Bank],
) -> Texts | Encoded:
    """The texts of each image; behind its own, copies of the last one, then the helpers.

    A model without text encoders gets zeros, in whose place it sees a picture.
    """
    if not tokenizers:
        return Encoded(
            np.zeros((len(banks), texts_in(banks), 1, spec.unet.context_dim), "f4"), None
        )
    kind = settings[0].prompt_weights
    if kind == "none":
        _warn_of_cut(tokenizers[0], banks)
    seen, helpers = texts_in(banks), helpers_in(banks, kind)
    images = [chunks_in(bank, tokenizers, kind) for bank in banks]
    chunks = common_chunks(len(text[0].ids) for own in images for text in own)
    empty = [first_chunk("", tokenizer) for tokenizer in tokenizers]
    texts = []
    for bank, own in zip(banks, images, strict=True):
        weak = [own[number] for number, _ in bank.weakened] if helpers > 1 else []
        texts.append([*filled(own, seen), *(filled([*weak, empty], helpers) if helpers else ())])
    each = [
        [[repeated(text[i], chunks) for text in own] for own in texts]
        for i in range(len(tokenizers))
    ]
    keep = np.ones((len(banks), seen), np.float32)
    if spec.zero_empty_negative:
        for row, bank in zip(keep, banks, strict=True):
            row[[i for i, one in enumerate(bank.entries) if one.is_negative and not one.text]] = 0
    ids = [_stacked(own, "ids") for own in each]
    return Texts(
        ids=tuple(one[:, :, 0] if chunks == 1 else one for one in ids),
        keep=keep,
        layer=_layers(spec, settings),
        weights=_weights(kind, each, banks) if any(one.is_weighted for one in banks) else None,
        mix=_mix(settings, banks, seen) if any(one.blend_prompt for one in settings) else None,
    )


def time_ids(
    spec: ModelSpec, settings: Sequence[Settings], banks: Sequence[Bank], count: int
) -> np.ndarray | None:
    """XL's sizes and crop (Podell et al. 2023, section 2.2), or the refiner's with a score.

    [B, M, n] float32 for `count` texts, or None for models without added conditions.
    """
    added = spec.unet.added
    if added is None:
        return None
    size = settings[0].drawn_size
    if added.time_ids == 6:
        return np.tile(np.float32([*size, 0, 0, *size]), (len(banks), count, 1))
    # The refiner was trained with aesthetic scores; these are diffusers' values.
    scores = [
        filled([2.5 if one.is_negative else 6.0 for one in bank.entries], count) for bank in banks
    ]
    return np.float32([[[*size, 0, 0, score] for score in own] for own in scores])


def _weights(
    kind: str, texts: Sequence[Sequence[Sequence[Chunks]]], banks: Sequence[Bank]
) -> Scaled | Interpolated | Mixed:
    weight = tuple(_stacked(own, "weight") for own in texts)
    if kind == "webui":
        return Scaled(weight)
    if kind == "comfy":
        return Interpolated(weight)
    seen, count = [np.ones(one.shape, bool) for one in weight], texts_in(banks)
    mix = np.tile(np.eye(count, weight[0].shape[1], dtype=np.float32), (len(banks), 1, 1))
    for image, bank in enumerate(banks):
        for number, (base, span) in enumerate(bank.weakened, count):
            weak = max(LEAST_WEIGHT, bank.entries[base].spans[span].weight)
            mix[image, base, number] = math.tan((1 - weak) * math.pi / 2)
            for own, chunks in zip(seen, texts, strict=True):
                own[image, number] = chunks[image][number].span != span
    return Mixed(weight, tuple(seen), mix / mix.sum(axis=-1, keepdims=True))


def _mix(settings: Sequence[Settings], banks: Sequence[Bank], count: int) -> np.ndarray:
    """Shares [B, M, M] of texts: each is itself, or its mean with the text that it leads to."""
    mix = np.tile(np.eye(count, dtype=np.float32), (len(banks), 1, 1))
    for own, one, bank in zip(mix, settings, banks, strict=True):
        for number, entry in enumerate(bank.entries):
            if entry.toward is not None:
                own[number, number] = 1 - one.blend_strength
                own[number, entry.toward] = one.blend_strength
    return mix


def _layers(spec: ModelSpec, settings: Sequence[Settings]) -> np.ndarray | None:
    if any(skips(one, spec) for one in settings):
        return np.int32([one.clip_skip for one in settings])
    return None


def _stacked(texts: Sequence[Sequence[Chunks]], field: str) -> np.ndarray:
    """A field of all chunks, [B, M, P, L]."""
    return np.stack([np.stack([getattr(chunks, field) for chunks in own]) for own in texts])


def _warn_of_cut(tokenizer: Tokenizer, banks: Sequence[Bank]) -> None:
    texts = [entry.text for bank in banks for entry in bank.entries]
    if cut := max(tokenizer.cut(texts)):
        warnings.warn(
            f"a prompt is {cut} tokens too long for this model; the end was left out",
            stacklevel=7,
        )
