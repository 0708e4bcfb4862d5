"""What is known of a model that is served, whether it is in memory or not."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jaxsd
from jaxsd.config import ModelSpec
from jaxsd.settings import Recipe, Settings


@dataclass(frozen=True)
class Served:
    """A model that is served.

    Attributes:
      load: reads it; gives what draws, see `jaxsd.server.artist`.
      recipe: what its pictures have in common.
      controls: names of its ControlNets.
      adapters: name -> file of its IP-Adapters.
      refiners: name of the model that can take over from it, if there is one.
      size: bytes of its weights.
    """

    name: str
    spec: ModelSpec
    load: Callable[[], Any]
    recipe: Recipe
    controls: tuple[str, ...] = ()
    adapters: Mapping[str, str] = field(default_factory=dict)
    refiners: tuple[str, ...] = ()
    size: int = 0


def served_recipe(source: str, dtype: str, **more: Any) -> Recipe:
    """What the pictures of a model have in common."""
    return Recipe(Settings(), source, dtype, jaxsd.__version__, **more)
