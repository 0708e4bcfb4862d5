"""What is needed to draw a picture again: the recipe of one of ours, or as much as others tell."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from jaxsd.images import picture_texts
from jaxsd.metadata.expressed import expressed
from jaxsd.metadata.reading import read_made
from jaxsd.settings import Recipe, Settings, settings_from
from jaxsd.terminal import printable
from jaxsd.webui import JSON, read_recipe


class Again(NamedTuple):
    """How to draw a picture again.

    Attributes:
      recipe: with the settings; of another program's picture the model is empty.
      by: that program, and its name of the model.
      left: what the picture says and no setting expresses, as "NAME VALUE".
    """

    recipe: Recipe
    by: str = "jaxsd"
    left: tuple[str, ...] = ()


def read_again(path: str | Path, given: Mapping[str, object] = {}) -> Again:
    """How to draw a picture again, whatever program made it.

    Args:
      path: of the picture.
      given: options that the user gives, which a picture need not tell.

    Raises:
      ValueError: the picture does not say what made it, or something without which nothing like it
        can be drawn.
      OSError: not a picture.
    """
    try:
        texts = picture_texts(path)
    except OSError as error:
        raise OSError(f"{path}: {error.strerror or error}") from None
    if JSON in texts:
        return Again(read_recipe(path))
    made = read_made(path)
    if made is None:
        raise ValueError(f"{path} does not say what made it")
    try:
        values, left = expressed(made, given)
        settings = settings_from(values)
    except ValueError as error:
        raise ValueError(f"{path}, made by {made.program}: {error}") from None
    model = made.settings.get("Model", "")
    by = f"{made.program} with {printable(model, 80)}" if model else made.program
    return Again(Recipe(settings, model="", dtype="float32", version=""), by, left)


def changed(recipe: Recipe, given: Mapping[str, object]) -> Settings:
    """The settings of a recipe with those that the user gives.

    Raises:
      ValueError: an unknown name, or a value of the wrong type.
    """
    known = recipe.settings
    if not known.image and "strength" not in given:
        given = {**given, "strength": None}  # what suits an image, if one is given now
    return settings_from(given, known)


def check_same_files(recipe: Recipe, hashes: Mapping[str, str]) -> None:
    """Finds out whether pictures and adapters are still those that a recipe was made from.

    Args:
      recipe: has their hashes.
      hashes: of the files now, by the names that settings have for them.

    Raises:
      ValueError: one of them is another.
    """
    known = recipe.pictures | recipe.adapters
    for name, now in hashes.items():
        if known.get(name, now) != now:
            raise ValueError(
                f"file {name!r} has changed since: its sha256 was {known[name]}; "
                "bring it back, or give another one"
            )
