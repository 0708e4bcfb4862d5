"""A request for a video, made into a plan of frames; what OpenAI's fields mean here."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from jaxsd.server.asking import seconds_in
from jaxsd.server.bodies import switch
from jaxsd.server.served import Served
from jaxsd.server.wishes import Wish, wish_of, with_own_size
from jaxsd.settings import OPTIONS, Settings
from jaxsd.video.config import VideoConfig
from jaxsd.video.plan import Plan, planned

MOST_FRAMES = 1500
"""Of a video: a minute at 25 in a second."""
MOST_KEYS = 100
SECONDS = 4.0
"""OpenAI's own default."""
NAMES = {"num_inference_steps": "steps"}
"""Names of diffusers, and ours."""
FILE = "video.mp4"


class Film(NamedTuple):
    """A video that can be drawn."""

    model: Served
    plan: Plan
    wish: Wish  # pictures of all frames


def film_of(values: Mapping[str, Any], model: Served, base: Settings, folder: Path) -> Film:
    """The frames of a video.

    Each line of the prompt is a key frame. Of a single line there are two, the second with the
    next seed. `input_reference` is the picture that each frame begins from.

    Args:
      values: of the request, with a seed and without the name of the model.
      model: that draws.
      base: settings that hold where a client says nothing.
      folder: where the file will be.

    Raises:
      ValueError: a field that is unknown, or has no such value.
    """
    values = dict(values)
    lines = [line.strip() for line in str(values.pop("prompt", "")).split("\n") if line.strip()]
    if not 1 <= len(lines) <= MOST_KEYS:
        raise ValueError(f"prompt has {len(lines)} lines; a video has 1 to {MOST_KEYS} key frames")
    own = {
        "seconds": _number(values, "seconds", SECONDS),
        "fps": _number(values, "fps", 24.0),
        "easing": values.pop("easing", "linear"),
        "loop": switch(values, "loop"),
    }
    if (frames := round(own["seconds"] * own["fps"])) > MOST_FRAMES:
        raise ValueError(f"the video has {frames} frames; at most {MOST_FRAMES} are drawn")
    if (picture := values.pop("input_reference", None)) is not None:
        values["image"] = picture
    options = {NAMES.get(name, name): value for name, value in values.items()}
    wish = with_own_size(wish_of(options | {"prompt": lines[0]}, base), model.spec)
    keys: list[dict[str, Any]] = [{"prompt": line} for line in lines]
    if len(keys) == 1:
        keys.append({"seed": wish.settings.seed + 1})
    recipe = model.recipe
    config = VideoConfig(
        **{name: getattr(wish.settings, name) for name in OPTIONS},
        **recipe.reading,
        **own,
        output=str(folder / FILE),
        key=tuple(keys),
        model=recipe.model,
        dtype=recipe.dtype,
        taesd=recipe.taesd,
    )
    return Film(model, planned(config, model.spec), wish)


def _number(values: dict[str, Any], name: str, default: float) -> float:
    value = values.pop(name, None)
    if value is None:
        return default
    if isinstance(value, bool) or not (number := seconds_in(value)):
        raise ValueError(f"{name} {value!r} is not a number above 0")
    return number
