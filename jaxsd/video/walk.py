"""The settings of a frame between two key frames."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from jaxsd.settings import Lora, Settings
from jaxsd.video.easing import EASINGS
from jaxsd.video.keys import Key

DIGITS = 6
"""Behind the point of what is between two numbers, in recipes."""


def at(keys: Sequence[Key], time: float) -> tuple[Key, Key, float]:
    """The key frames around a time, and the share of the way between them."""
    number = sum(key.time <= time for key in keys[1:])
    one, other = keys[number], keys[min(number + 1, len(keys) - 1)]
    if one is other:
        return one, other, 0.0
    return one, other, EASINGS[one.easing]((time - one.time) / (other.time - one.time))


def between(one: Settings, other: Settings, share: float, *, mixes: bool) -> Settings:
    """The settings of a frame, for `Settings` of two key frames.

    Noise is on the way from seed to seed by `variation_strength`, conditioning from prompt to
    prompt by `blend_strength`. What only one of them has fades, as does a picture of a ControlNet
    that changes.

    Args:
      one: at the beginning.
      other: at the end.
      share: of the way, 0 to 1.
      mixes: whether prompts differ anywhere in the video: all frames then are of one program.
    """
    moved: dict[str, Any] = {
        name: mean(getattr(one, name), getattr(other, name), share)
        for name in ("guidance_scale", "image_guidance_scale")
    }
    for name in ("lora", "control", "ip_adapter"):
        moved[name] = crossed(getattr(one, name), getattr(other, name), share)
    share = round(share, DIGITS)
    if mixes:
        moved["blend_prompt"] = other.prompt
        moved["blend_strength"] = share if one.prompt != other.prompt else 0.0
    if one.seed != other.seed:
        moved |= {"variation_seed": other.seed, "variation_strength": share}
    return replace(one, **moved)


def mean(low: float, high: float, share: float) -> float:
    """The number between two."""
    return low if low == high else round((1 - share) * low + share * high, DIGITS)


def crossed(one: tuple[Any, ...], other: tuple[Any, ...], share: float) -> tuple[Any, ...]:
    """LoRAs, ControlNets or IP-Adapters between two lists; what a list lacks has weight 0."""
    if one == other:
        return one
    lists = [{_bare(each): each for each in own} for own in (one, other)]
    found = []
    for bare in lists[0] | lists[1]:
        low, high = (own.get(bare, bare) for own in lists)
        made = replace(bare, weight=mean(low.weight, high.weight, share))
        if isinstance(bare, Lora):
            texts = (each.weights[1] for each in (low, high))
            made = replace(made, text_weight=mean(*texts, share))
        found.append(made)
    return tuple(found)


def _bare(each: Any) -> Any:
    """The same with weight 0, which tells whether two are of one file."""
    return replace(each, weight=0.0, **({"text_weight": 0.0} if isinstance(each, Lora) else {}))
