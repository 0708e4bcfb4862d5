"""Recipes as texts in picture files: our own JSON and webui's `parameters`, written and read."""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from jaxsd.images import picture_texts
from jaxsd.schedulers import SAMPLERS
from jaxsd.settings import OPTIONS, Recipe, settings_from
from jaxsd.typed import nearest

PARAMETERS, JSON = "parameters", "jaxsd"
"""Names of the texts."""

SIGMAS = ("karras", "exponential", "beta")

# One setting of webui's last line: a name, and a value that is quoted where it holds a comma.
_SETTING = re.compile(r'\s*(\w[\w \-/]*):\s*("(?:\\.|[^\\"])*"|[^,]*)(?:,|$)')
_LAST_LINE = "Steps: "
_NEGATIVE = "Negative prompt: "


def texts_of(recipe: Recipe) -> dict[str, str]:
    """What a picture file carries: webui's text, and the recipe as JSON."""
    return {
        PARAMETERS: parameters_text(recipe),
        JSON: json.dumps(as_json(recipe), ensure_ascii=False),
    }


def as_json(recipe: Recipe) -> dict[str, object]:
    """A recipe as one flat table: every option, then the recipe's other fields."""
    settings = {name: _plain(getattr(recipe.settings, name)) for name in OPTIONS}
    rest = {name: value for name, value in asdict(recipe).items() if name != "settings"}
    return settings | rest


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return value if isinstance(value, str | int | float | None) else str(value)


def recipe_from(table: Mapping[str, object]) -> Recipe:
    """The recipe of a table from `as_json`.

    Raises:
      ValueError: a key that this version does not know, or a value of another type.
    """
    known = [*OPTIONS, *Recipe.__dataclass_fields__]
    for name in table:
        if name not in known:
            raise ValueError(f"unknown key {name!r}; {nearest(name, known)}")
    settings = {name: value for name, value in table.items() if name in OPTIONS}
    rest = {name: value for name, value in table.items() if name not in OPTIONS}
    return Recipe(settings_from(settings), **rest)


def read_recipe(path: str | Path) -> Recipe:
    """The recipe in a picture that jaxsd wrote.

    Raises:
      ValueError: the picture carries none, or one that this version does not know.
      OSError: not a picture.
    """
    packed = picture_texts(path).get(JSON)
    if packed is None:
        raise ValueError(f"{path} carries no settings of jaxsd")
    try:
        return recipe_from(json.loads(packed))
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{path} carries settings that this jaxsd does not know: {error}"
        ) from None


def prompt_of(texts: Mapping[str, str]) -> str | None:
    """The prompt in a picture's webui text, which jaxsd writes too; None where there is none."""
    text = texts.get(PARAMETERS)
    try:
        return None if text is None else parse_parameters(text)["Prompt"]
    except ValueError:  # quotes that do not close
        return None


def parameters_text(recipe: Recipe) -> str:
    """The recipe as webui's text: prompt, negative prompt, a line of settings.

    A value with a comma, a colon or a line break is quoted as JSON. The text is ambiguous if the
    prompt itself has "Negative prompt:" at the start of a line; the JSON is not.
    """
    made = recipe.settings
    name, sigmas = made.sampler, "Automatic"
    for ending in SIGMAS:
        if name.endswith(f"_{ending}"):
            name, sigmas = name.removesuffix(f"_{ending}"), ending.capitalize()
    height, width = made.drawn_size
    settings = {
        "Steps": made.steps,
        "Sampler": SAMPLERS[name].webui if name in SAMPLERS else name,
        "Schedule type": sigmas,
        "CFG scale": f"{made.guidance_scale:g}",
        "Seed": str(made.seed),
        "Size": f"{width}x{height}",
        "Model hash": recipe.model_hash,
        # Other programs do not unquote this one.
        "Model": re.sub(r"[,:\s]+", " ", Path(recipe.model).stem),
        "Denoising strength": f"{made.strength:g}" if made.image else "",
        "Mask blur": f"{made.mask_blur:g}" if made.paints else "",
        # A seed gives different noise here than in torch's generators.
        "RNG": "jaxsd",
        "Version": f"jaxsd {recipe.version}",
    }
    lines = [made.prompt]
    if made.negative_prompt:
        lines.append(_NEGATIVE + made.negative_prompt)
    lines.append(", ".join(f"{key}: {_quoted(value)}" for key, value in settings.items() if value))
    return "\n".join(lines)


def parse_parameters(text: str) -> dict[str, str]:
    """The parts of webui's text: "Prompt", "Negative prompt", and each setting by name."""
    *lines, last = text.split("\n")
    if not last.startswith(_LAST_LINE):
        lines, last = [*lines, last], ""
    starts = [i for i, line in enumerate(lines) if line.startswith(_NEGATIVE)]
    split = starts[0] if starts else len(lines)
    parts = {
        "Prompt": "\n".join(lines[:split]),
        "Negative prompt": "\n".join(lines[split:]).removeprefix(_NEGATIVE),
    }
    for name, value in _SETTING.findall(last):
        parts[name] = json.loads(value) if value.startswith('"') else value.strip()
    return parts


def _quoted(value: object) -> str:
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if re.search(r'[,:\n"]', text) else text
