"""The options that a picture tells, whatever program made it."""

import io
from typing import Any

from jaxsd.images import picture_texts
from jaxsd.metadata import expressed, read_made
from jaxsd.server.wishes import OPEN, PICTURES, SEEING
from jaxsd.settings import OPTIONS, Recipe, Settings, settings_from
from jaxsd.text_files import table_of
from jaxsd.webui import JSON, as_json, recipe_from


def told_in(packed: bytes, base: Settings) -> dict[str, Any]:
    """What a picture tells: `settings`, `made_by`, and `left`, what no setting expresses.

    Pictures that it was drawn from are not in it. A picture of another program tells some options,
    one of jaxsd all of them.

    Args:
      packed: the picture's file.
      base: settings of the server; tags of LoRAs stay in the prompt if it has folders of them.

    Raises:
      ValueError: it says nothing, or something without which nothing like it can be drawn.
      OSError: it is no picture.
    """
    if text := picture_texts(io.BytesIO(packed)).get(JSON):
        recipe = recipe_from(table_of(text, JSON))
        names, program, left = [*OPEN], f"jaxsd {recipe.version}", _left(recipe.settings, base)
    else:
        made = read_made(io.BytesIO(packed))
        if made is None:
            raise ValueError("the picture does not say what made it")
        there = {"image": "needed if there is a strength", "lora_folder": base.lora_folder}
        values, left = expressed(made, there)
        recipe = Recipe(settings_from(values), model="", dtype="float32", version="")
        names, program = [name for name in OPEN if name in values], made.program
        if "size" in values:
            names += ["width", "height"]
    said = as_json(recipe)
    settings = {name: said[name] for name in names if name not in (*PICTURES, *SEEING)}
    return {"settings": settings, "made_by": program, "left": list(left)}


def _left(settings: Settings, base: Settings) -> list[str]:
    """The options of a picture of jaxsd that clients can not give again, or need pictures for."""
    closed = [name for name in OPTIONS if name not in OPEN or name in (*PICTURES, *SEEING)]
    usual = {name: (OPTIONS[name].default, getattr(base, name)) for name in closed}
    return [name for name in closed if getattr(settings, name) not in usual[name]]
