"""Models that are served, from what the command line says of them."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax

from jaxsd.convert.files.tensors import computed_in, dtype_named
from jaxsd.convert.reading import Reading
from jaxsd.convert.refiner import open_refiner
from jaxsd.convert.stored_model import StoredModel
from jaxsd.drawings import with_programs
from jaxsd.executables import Executables
from jaxsd.outputs import model_hash
from jaxsd.pipeline import check_adapters, with_controlnet, with_refiner
from jaxsd.server.artist import PipelineArtist
from jaxsd.server.places import call_cost, places_by
from jaxsd.server.served import Served, served_recipe
from jaxsd.settings import ImagePrompt, Settings


class Wanted(NamedTuple):
    """How models are served."""

    loading: Mapping[str, Any]  # options of `jaxsd.load`
    reading: Reading
    slots: int | None  # pictures of a call; None to measure
    devices: int
    programs: Executables  # of all of them: a model that comes again has its programs at once
    say: Callable[[str], None]


def devices_of(asked: int | None) -> int:
    """How many devices draw: all that there are, if it is not said.

    Raises:
      ValueError: there are not as many.
    """
    there = jax.local_device_count()
    if asked is not None and not 1 <= asked <= there:
        raise ValueError(f"--devices {asked} is out of range; there are {there}")
    return asked or there


def served(
    name: str,
    source: str,
    stored: StoredModel,
    wanted: Wanted,
    controls: Mapping[str, str],
    adapters: Mapping[str, str],
    refiners: Mapping[str, str],
) -> Served:
    """A model that is not read yet.

    Args:
      name: that clients give.
      source: as for `jaxsd.load`.
      stored: the same, opened.
      wanted: what is the same for all.
      controls: name -> source of its ControlNets.
      adapters: name -> file of its IP-Adapters.
      refiners: name -> source of the model that can take over from it; one at most.
    """
    places = [wanted.slots] if wanted.slots else []

    def load() -> PipelineArtist:
        pipe = with_programs(source, wanted.say, programs=wanted.programs, **wanted.loading)
        for own, place in controls.items():
            pipe = with_controlnet(pipe, place, own)
        for own, place in refiners.items():
            pipe = with_refiner(pipe, place, own)
        if not places:
            places.append(places_by(partial(call_cost, pipe)))
        more = "s" * (places[0] > 1)
        wanted.say(f"{name}: {places[0]} picture{more} in a call (--slots {places[0]})")
        return PipelineArtist(pipe, places[0], wanted.devices)

    dtype, taesd = wanted.loading["dtype"], wanted.loading["taesd"] or ""
    computed = dtype_named(computed_in(dtype))
    outlines = [stored.outline(computed, keep_halves=True)]
    for place in refiners.values():
        taken = open_refiner(place, stored.spec).outline(computed, keep_halves=True)
        outlines.append({part: tree for part, tree in taken.items() if part != "vae"})
    shapes = jax.tree.leaves(outlines)
    recipe = served_recipe(
        source,
        dtype,
        model_hash=model_hash(Path(source)),
        taesd=taesd,
        reading=wanted.reading.stated,
    )
    size = sum(math.prod(one.shape) * one.dtype.itemsize for one in shapes)
    names = tuple(controls), dict(adapters), tuple(refiners)
    return Served(name, stored.spec, load, recipe, *names, size)


def check_ip_adapters(files: Mapping[str, str], base: Settings, stored: StoredModel) -> None:
    """Reads IP-Adapters and their image encoders.

    Raises:
      ValueError: a file is none, or one of another model.
      OSError: there is no such file.
    """
    each = [replace(base, ip_adapter=(ImagePrompt("", file),)) for file in files.values()]
    check_adapters(each, stored.spec)
