"""The key frames of a video, checked."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from jaxsd.config import ModelSpec
from jaxsd.settings import OPTIONS, Settings, checked, settings_from, tableau_of, without_tags
from jaxsd.settings.adapters import named_loras
from jaxsd.typed import nearest, value_of
from jaxsd.video.config import BEFORE, VideoConfig
from jaxsd.video.easing import EASINGS

CAMERA = ("angle", "x", "y")
"""How a camera has turned, in degrees, and moved, in shares of width and height, with `follow`."""
OWN = {"time": float, "easing": str, "zoom": float} | dict.fromkeys(CAMERA, float)
"""What a key frame has beside options of `Settings`, and of which type."""
MOVES = (
    "prompt",
    "seed",
    "guidance_scale",
    "image_guidance_scale",
    "lora",
    "control",
    "ip_adapter",
)
"""Options that may differ from one key frame to the next."""
SET_HERE = ("blend_prompt", "blend_strength", "variation_seed", "variation_strength")
"""Options that a video sets by itself."""
LARGEST_ZOOM = 16


class Key(NamedTuple):
    """A key frame."""

    time: float  # in seconds
    easing: str  # of the way to the next
    zoom: float
    settings: Settings  # checked
    camera: tuple[float, ...] = (0.0,) * len(CAMERA)


def keys_of(config: VideoConfig, spec: ModelSpec, seconds: float = 0.0) -> list[Key]:
    """The key frames in order of time; with `loop` the first one again, at the end.

    Raises:
      ValueError: one line that names the key frame, for what can not be drawn or gone between.
    """
    keys: list[Key] = []
    settings, zoom, camera = config.settings, 1.0, Key._field_defaults["camera"]
    for number, table in enumerate(config.key, 1):
        try:
            own, said = _divided(table)
            settings = settings_from(said, settings)
            zoom, easing = own.get("zoom", zoom), own.get("easing", config.easing)
            camera = tuple(
                own.get(name, before) for name, before in zip(CAMERA, camera, strict=True)
            )
            _check(settings, zoom, easing)
            if any(camera) and not config.follow:
                raise ValueError(f"{', '.join(CAMERA)} move the frame before; give follow")
            time = own.get("time", -1.0)
            keys.append(Key(time, easing, zoom, checked(_without_tags(settings), spec), camera))
            if config.follow:
                checked(after(keys[-1].settings, config.follow), spec)
        except ValueError as error:
            raise ValueError(f"key frame {number}: {error}") from None
    keys = _timed(keys, config, seconds)
    if config.loop:
        keys.append(keys[0]._replace(time=length_of(keys, config, seconds)))
    for number, (one, other) in enumerate(itertools.pairwise(keys), 1):
        if config.follow and one.settings.seed != other.settings.seed:
            raise ValueError(
                f"key frames {number} and {number + 1} differ in seed, and with follow the noise "
                "moves with the frame before; give one seed"
            )
        _check_way(number, one.settings, other.settings, spec)
    return keys


def after(settings: Settings, strength: float) -> Settings:
    """Settings of a frame that is made from the one before."""
    return replace(settings, image=BEFORE, strength=strength)


def length_of(keys: Sequence[Key], config: VideoConfig, seconds: float = 0.0) -> float:
    """Seconds of the video."""
    return config.seconds or seconds or keys[-1].time


def _divided(table: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is the key frame's own, and its options."""
    own = {name: value_of(OWN[name], table[name], name) for name in table if name in OWN}
    said = {name: value for name, value in table.items() if name not in OWN}
    for name in said:
        if name not in OPTIONS and name != "size":
            raise ValueError(f"unknown option {name!r}; {nearest(name, [*OPTIONS, *OWN])}")
    return own, said


def _check(settings: Settings, zoom: float, easing: str) -> None:
    if easing not in EASINGS:
        raise ValueError(f"easing {easing!r} is not one of {', '.join(EASINGS)}")
    if not 1 <= zoom <= LARGEST_ZOOM:
        raise ValueError(f"zoom {zoom:g} is out of range; allowed is 1 to {LARGEST_ZOOM}")
    if not settings.prompt.strip():
        raise ValueError("the prompt is empty")
    for name in SET_HERE:
        if getattr(settings, name) != OPTIONS[name].default:
            raise ValueError(
                f"{name} is what the frames between key frames have; give prompts and seeds alone"
            )


def _without_tags(settings: Settings) -> Settings:
    """The settings with the LoRAs that the prompt names as options."""
    prompt, tags = without_tags(settings.prompt)
    if not tags:
        return settings
    named = named_loras(settings.prompt, settings.lora_folder)
    return replace(settings, prompt=prompt, lora=settings.lora + named)


def _timed(keys: list[Key], config: VideoConfig, seconds: float) -> list[Key]:
    """The key frames with times: those that were given, or spread evenly."""
    given = [key.time for key in keys if key.time >= 0]
    if not given:
        length = config.seconds or seconds
        if not length:
            raise ValueError(
                "how long is the video? give seconds, a sound, a clip, or each key frame a time"
            )
        ways = len(keys) if config.loop else max(1, len(keys) - 1)
        return [key._replace(time=i * length / ways) for i, key in enumerate(keys)]
    if len(given) < len(keys):
        number = next(i for i, key in enumerate(keys, 1) if key.time < 0)
        raise ValueError(f"key frame {number} has no time of 0 or more; give all a time, or none")
    if given[0] != 0:
        raise ValueError(f"key frame 1 has time {given[0]:g}; the first one has time 0")
    for number, (one, other) in enumerate(itertools.pairwise(given), 2):
        if other <= one:
            raise ValueError(f"key frame {number} has time {other:g}, which is not after {one:g}")
    length = length_of(keys, config, seconds)
    if length <= given[-1] and (config.loop or length < given[-1] or not length):
        after = (
            "after the last key frame, to lead back" if config.loop else "for its last key frame"
        )
        raise ValueError(
            f"the video ends at {length:g} s, and key frame {len(keys)} has time {given[-1]:g}; "
            f"give more seconds, {after}"
        )
    return keys


def _check_way(number: int, one: Settings, other: Settings, spec: ModelSpec) -> None:
    """Refuses a way between two key frames that can not be gone."""
    where = f"key frames {number} and {number + 1}"
    for name in OPTIONS:
        if name not in MOVES and getattr(one, name) != getattr(other, name):
            raise ValueError(
                f"{where} differ in {name}, which does not move; these do: {', '.join(MOVES)}"
            )
    if one.motion and one.lora != other.lora:
        raise ValueError(f"{where} differ in lora, and with motion all frames are of one call")
    if one.seed == other.seed:
        return
    if one.motion:
        raise ValueError(
            f"{where} differ in seed, and with motion each frame has a seed of its own, one more "
            "than that before; give one seed"
        )
    if one.noise != "jax":
        raise ValueError(f"{where} differ in seed, which needs noise jax, and noise is {one.noise}")
    if tableau_of(one, spec).noise.any():
        raise ValueError(
            f"{where} differ in seed, and {one.sampler} adds noise in its steps, which has nothing "
            "between two seeds; take a sampler that does not, such as dpm++_2m, or one seed"
        )
