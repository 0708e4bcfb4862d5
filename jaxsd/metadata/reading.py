"""Which program made a picture: each format is recognised by what only it has."""

import re
from collections.abc import Callable, Mapping

from jaxsd.images import File, hidden_text, picture_texts
from jaxsd.metadata import tables
from jaxsd.metadata.comfy import comfy
from jaxsd.metadata.made import Made, settings_of, table_in
from jaxsd.webui import JSON, NEGATIVE, PARAMETERS, PROMPT, parse_parameters

_VERSIONS = (
    (r"jaxsd .*", "{}"),
    (r"stable-diffusion\.cpp.*", "{}"),
    (r"Fooocus.*", "{}"),
    (r"ComfyUI.*", "{}"),
    (r"v\d.*", "webui {}"),
    (r"f\d.*", "webui Forge {}"),
)
"""What stands behind "Version:" in webui's text -> the program."""


def jaxsd(texts: Mapping[str, str]) -> Made | None:
    """jaxsd: its recipe as JSON."""
    table = table_in(texts, JSON)
    if not {"prompt", "version"} <= set(table):
        return None
    program = f"jaxsd {table.pop('version')}"
    prompts = (table.pop("prompt"), table.pop("negative_prompt", ""))
    renamed = {"sampler": "sampler"}  # under the name that this program has for it
    return Made(program, *map(str, prompts), settings_of(table, **renamed))


def webui(texts: Mapping[str, str]) -> Made | None:
    """Webui's text, which many programs write."""
    settings = parse_parameters(texts.get(PARAMETERS, ""))
    prompt, negative = (settings.pop(name).strip() for name in (PROMPT, NEGATIVE))
    if "Steps" not in settings:
        return None
    settings = {name: value for name, value in settings.items() if value}
    return Made(_program(settings), prompt, negative, settings)


def _program(settings: Mapping[str, str]) -> str:
    version = settings.get("Version", "")
    for pattern, name in _VERSIONS:
        if re.fullmatch(pattern, version):
            return name.format(version)
    if "Civitai resources" in settings:
        return "Civitai"
    return settings.get("App") or "webui, or a program that writes its text"


FORMATS: tuple[Callable[[Mapping[str, str]], Made | None], ...] = (
    jaxsd,
    tables.swarm,
    tables.fooocus,
    tables.diffusers,
    tables.easy_diffusion,
    comfy,
    webui,
    tables.invoke,
    tables.invoke_2,
    tables.dream,
    tables.novelai,
    tables.draw_things,
    tables.midjourney,
    tables.unknown_table,
)
"""In the order in which they are tried: a ComfyUI graph beside webui's text says more than it."""


def made_of(texts: Mapping[str, str]) -> Made | None:
    """What the texts of a picture say about it; None if they have none of the known formats."""
    return next(filter(None, (read(texts) for read in FORMATS)), None)


def read_made(path: File) -> Made | None:
    """What made a picture, as its texts say, or else a text in its pixels.

    Raises:
      OSError: not a picture.
    """
    made = made_of(picture_texts(path))
    if made is None and (hidden := hidden_text(path)):
        table = table_in({"": hidden}, "")  # NovelAI hides its texts by name
        named = {name: text for name, text in table.items() if isinstance(text, str)}
        made = made_of({PARAMETERS: hidden, **named})
    return made


def prompt_of(path: File) -> str | None:
    """The prompt that a picture carries; None where there is none, or it cannot be told.

    Raises:
      OSError: not a picture.
    """
    made = read_made(path)
    return None if made is None else made.prompt
