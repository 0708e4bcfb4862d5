"""Nodes of prompts: encoded, by which layer."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Annotated

from jaxsd.pipeline.adapting import Adapted, with_words
from jaxsd.settings import Adapters, Embedding
from jaxsd.workflow.networks import check_layer, encoded_text
from jaxsd.workflow.prompts import embeddings_in
from jaxsd.workflow.schema import Pixels, Range, node
from jaxsd.workflow.values import CLIP, Clip, Conditions
from jaxsd.workflow.workspace import Workspace

NO_SIZES: Mapping[str, float] = MappingProxyType({})


@node("CLIPTextEncode", "CONDITIONING")
def clip_text_encode(place: Workspace, *, text: str, clip: CLIP) -> Conditions:
    """A prompt, with ComfyUI's weights and `embedding:NAME`."""
    return _encoded(place, clip, [text] * len(clip.tokenizers))


@node("CLIPTextEncodeSDXL", "CONDITIONING")
def clip_text_encode_sdxl(
    place: Workspace,
    *,
    clip: CLIP,
    width: Pixels = 1024,
    height: Pixels = 1024,
    crop_w: Pixels = 0,
    crop_h: Pixels = 0,
    target_width: Pixels = 1024,
    target_height: Pixels = 1024,
    text_g: str,
    text_l: str,
) -> Conditions:
    """Prompts for both encoders of XL, with the sizes that it was trained with."""
    texts = [text_l, text_g] if len(clip.tokenizers) == 2 else [text_g]
    sizes = {
        "width": width,
        "height": height,
        "crop_w": crop_w,
        "crop_h": crop_h,
        "target_width": target_width,
        "target_height": target_height,
    }
    return _encoded(place, clip, texts, sizes)


@node("CLIPTextEncodeSDXLRefiner", "CONDITIONING")
def clip_text_encode_sdxl_refiner(
    place: Workspace,
    *,
    ascore: Annotated[float, Range(0, 1000)] = 6.0,
    width: Pixels = 1024,
    height: Pixels = 1024,
    text: str,
    clip: CLIP,
) -> Conditions:
    """A prompt for XL's refiner, with an aesthetic score."""
    sizes = {"aesthetic_score": ascore, "width": width, "height": height}
    return _encoded(place, clip, [text] * len(clip.tokenizers), sizes)


@node("CLIPSetLastLayer", "CLIP")
def clip_set_last_layer(
    *, clip: CLIP, stop_at_clip_layer: Annotated[int, Range(-24, -1)] = -1
) -> Clip:
    """Which layer of the text encoders is used, counted from the last, -1."""
    check_layer(clip, stop_at_clip_layer)
    return replace(clip, layer=stop_at_clip_layer)


def _encoded(
    place: Workspace, clip: Clip, texts: list[str], sizes: Mapping[str, float] = NO_SIZES
) -> Conditions:
    clip, words = with_embeddings(place, clip, texts)
    return (replace(encoded_text(clip, texts, words), sizes=sizes),)


def with_embeddings(place: Workspace, clip: Clip, texts: list[str]) -> tuple[Clip, dict[str, str]]:
    """The text encoders with the embeddings that texts name, and their words."""
    names = dict.fromkeys(name for text in texts for name in embeddings_in(text))
    if not names:
        return clip, {}
    words = {name: f"<{name.lower()}>" for name in names}
    embeddings = tuple(Embedding(place.embedding(name), word) for name, word in words.items())
    own = with_words(Adapted(clip.spec, clip.params, clip.tokenizers), Adapters((), embeddings))
    return replace(clip, spec=own.spec, params=own.params, tokenizers=own.tokenizers), words
