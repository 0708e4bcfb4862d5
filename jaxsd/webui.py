"""Recipes as texts in picture files: our own JSON and webui's `parameters`, written and read."""

import contextlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

from jaxsd.convert.reading import Reading
from jaxsd.images import PARAMETERS, picture_texts
from jaxsd.schedulers import SAMPLERS
from jaxsd.schedulers.names import SIGMAS_OF_WEBUI
from jaxsd.schedulers.spacing import SIGMAS
from jaxsd.schedulers.trained_sigmas import TRAINED_SIGMAS
from jaxsd.settings import OPTIONS, Recipe, Settings, settings_from
from jaxsd.text_files import table_of
from jaxsd.typed import built, nearest, value_of

JSON = "jaxsd"
"""Name of the text that has the recipe as JSON; `PARAMETERS` is webui's."""

PROMPT, NEGATIVE = "Prompt", "Negative prompt"
"""Names of the parts of webui's text that are not settings."""

RNG = {"jax": "jaxsd", "torch": "CPU", "cuda": "NV"}
"""webui's names of who draws the noise of a seed; JAX's is not among them."""

_LAST_LINE = re.compile(r"^Steps: *\d", re.MULTILINE)
_BEHIND = re.compile(r"(Template|Negative Template): (.*)")
_NEGATIVE_LINE = re.compile(r"^[^\S\n]*+Negative prompt: ?", re.MULTILINE)
_NAME = re.compile(r"\s*(\w[\w \-/]*):\s*")
_PLAIN = re.compile(r"[^,]*")
_END = re.compile(r"\s*(,|$)")
_MOST_PIECES = 10_000
"""Commas of a line of settings; those behind them are left out."""
_MOST_BROKEN = 10
"""Values of a text that begin as JSON and are not valid, until all are taken as they stand.

Each costs as much time as the text is long.
"""


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
    fields = dict(Recipe.__dataclass_fields__)
    del fields["settings"]
    known = [*OPTIONS, *fields]
    for name in table:
        if name not in known:
            raise ValueError(f"unknown key {name!r}; {nearest(name, known)}")
    for name in ("model", "dtype", "version"):
        if name not in table:
            raise ValueError(f"the key {name!r} is missing")
    settings = {name: value for name, value in table.items() if name in OPTIONS}
    rest = {
        name: value_of(fields[name].type, value, name)
        for name, value in table.items()
        if name not in OPTIONS
    }
    built(Reading, rest.get("reading", {}), "reading.")  # which knows its names and types
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
        return recipe_from(table_of(packed, JSON))
    except ValueError as error:
        raise ValueError(
            f"{path} carries settings that this jaxsd does not know: {error}"
        ) from None


def parameters_text(recipe: Recipe, more: Mapping[str, str] = {}) -> str:
    """The recipe as webui's text: prompt, negative prompt, a line of settings, and `more` of them.

    A value with a comma, a colon or a line break is quoted as JSON. The text is ambiguous if the
    prompt itself has "Negative prompt:" at the start of a line; the JSON is not.
    """
    made = recipe.settings
    name, sigmas = made.sampler, "Automatic"
    for ending in (*SIGMAS, *TRAINED_SIGMAS):
        if name.endswith(f"_{ending}"):
            name = name.removesuffix(f"_{ending}")
            sigmas = SIGMAS_OF_WEBUI.get(ending, ending.capitalize())
    height, width = made.drawn_size
    strength = made.hires_strength if made.hires > 1 else made.strength
    settings = {
        "Steps": made.steps,
        "Sampler": SAMPLERS[name].webui if name in SAMPLERS else name,
        "Schedule type": sigmas,
        "CFG scale": f"{made.guidance_scale:g}",
        "Image CFG scale": _unless_one(made.image_guidance_scale),
        "Seed": str(made.seed),
        "Size": f"{width}x{height}",
        "Model hash": recipe.model_hash,
        # Other programs do not unquote this one.
        "Model": re.sub(r"[,:\s]+", " ", Path(recipe.model).stem),
        "Clip skip": made.clip_skip if made.clip_skip != 1 else None,
        "Denoising strength": f"{strength:g}" if made.image or made.hires > 1 else "",
        **_hires_and_variation(made),
        "Mask blur": f"{made.mask_blur:g}" if made.paints else "",
        "RNG": RNG[made.noise],
        "Version": f"jaxsd {recipe.version}",
        **more,
    }
    lines = [made.prompt]
    if made.negative_prompt:
        lines.append(f"{NEGATIVE}: {made.negative_prompt}")
    lines.append(", ".join(f"{key}: {_quoted(value)}" for key, value in settings.items() if value))
    return "\n".join(lines)


def _unless_one(scale: float | None) -> str:
    return "" if scale in (None, 1) else f"{scale:g}"


def _hires_and_variation(made: Settings) -> dict[str, str]:
    """What webui says of a second pass and of noise that is not that of the seed alone."""
    said = {}
    if made.hires > 1:
        said |= {
            "Hires upscale": f"{made.hires:g}",
            "Hires steps": str(made.hires_steps or ""),
            "Hires upscaler": _upscaler(made),
        }
    if made.variation_strength:
        said |= {
            "Variation seed": str(made.variation_seed),
            "Variation seed strength": f"{made.variation_strength:g}",
        }
    if any(made.seed_resize):
        said |= {"Seed resize from": "x".join(map(str, made.seed_resize))}
    return said


def _upscaler(made: Settings) -> str:
    file = made.upscaler_file
    return Path(file).stem if file else made.hires_upscaler.capitalize()


def parse_parameters(text: str) -> dict[str, str]:
    """The parts of webui's text: "Prompt", "Negative prompt", and each setting by name.

    Settings are in the last line that begins with "Steps:". What extensions write behind it are
    settings too. Values that are lists or tables of JSON stay texts.
    """
    text = text.replace("\r\n", "\n").rstrip("\r\n\0")
    starts = [match.start() for match in _LAST_LINE.finditer(text)]
    last = starts[-1] if starts else len(text)
    prompts, (line, _, behind) = text[:last], text[last:].partition("\n")
    if starts:
        prompts = prompts.removesuffix("\n")
    negative = _NEGATIVE_LINE.search(prompts)
    parts = {
        PROMPT: prompts[: negative.start()].removesuffix("\n") if negative else prompts,
        NEGATIVE: prompts[negative.end() :] if negative else "",
    }
    return parts | dict(_settings(line)) | _behind(behind.split("\n"))


def _settings(line: str) -> Iterator[tuple[str, str]]:
    """Names and values of the line of settings, which are separated by commas."""
    place, broken = 0, 0
    for _ in range(_MOST_PIECES):
        if place >= len(line):
            return
        if match := _NAME.match(line, place):
            place = match.end()
            found = None
            if line.startswith(('"', "[", "{"), place) and broken < _MOST_BROKEN:
                found = _json_at(line, place)
                broken += found is None
            value, place = found or _plain_at(line, place)
            yield match[1], value
        comma = line.find(",", place)
        place = len(line) if comma < 0 else comma + 1


def _json_at(line: str, place: int) -> tuple[str, int] | None:
    """JSON that ends at a comma, and its end; None if there is none. Texts are unquoted."""
    with contextlib.suppress(ValueError, RecursionError):
        value, end = json.JSONDecoder().raw_decode(line, place)
        if _END.match(line, end):
            return (value if isinstance(value, str) else line[place:end]), end
    return None


def _plain_at(line: str, place: int) -> tuple[str, int]:
    """What stands in a line from a place up to a comma, and its end."""
    plain = _PLAIN.match(line, place)
    return plain[0].strip(), plain.end()


def _behind(lines: Iterable[str]) -> dict[str, str]:
    """The templates that Dynamic Prompts writes behind the settings, which may have many lines."""
    parts: dict[str, list[str]] = {}
    part: list[str] = []
    for line in lines:
        if match := _BEHIND.fullmatch(line):
            part = parts[match[1]] = [match[2]]
        else:
            part.append(line)
    return {name: "\n".join(part) for name, part in parts.items()}


def _quoted(value: object) -> str:
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if re.search(r'[,:\n"]', text) else text
