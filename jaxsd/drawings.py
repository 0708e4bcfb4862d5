"""Any number of images, in batches of few sizes, with programs that are kept on disk."""

import contextlib
import gc
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import jaxsd
from jaxsd.canvases import Pictures
from jaxsd.config import ModelSpec
from jaxsd.convert.controlnet import controlnet_place
from jaxsd.convert.refiner import open_refiner
from jaxsd.settings import Settings, beside
from jaxsd.types import Array

LARGEST_BATCH = 8
"""Images drawn at a time."""


def batches(count: int) -> list[int]:
    """Images to draw at a time, each a power of two: few sizes, so that few programs are compiled.

    An image is the same in a batch of any size, up to rounding.
    """
    whole, rest = divmod(count, LARGEST_BATCH)
    powers = [2**bit for bit in reversed(range(LARGEST_BATCH.bit_length() - 1)) if rest >> bit & 1]
    return [LARGEST_BATCH] * whole + powers


def draw(
    model: str,
    spec: ModelSpec,
    settings: Sequence[Settings],
    pictures: Pictures,
    *,
    batch: int = 0,
    progress: Callable[[int, int], Any],
    say: Callable[[str], None],
    **options: Any,
) -> Array:
    """The images of checked settings, uint8 [N, H, W, 3].

    Args:
      model: as for `jaxsd.load`.
      spec: of the model.
      settings: alike but for prompts and seeds.
      pictures: that all of them use.
      batch: a call draws at least so many, of which some are cut.
      progress: called with the network calls that are done, and with those of a batch.
      say: called with lines about the cache and the model.
      options: of `jaxsd.load`.

    Raises:
      ValueError: a model, or an adapter, that cannot be used.
      FloatingPointError: latents that are not finite.
    """
    from jaxsd.pipeline import check_adapters

    check_adapters(settings, spec)
    counts = batches(len(settings))

    def prepare(outline: "jaxsd.Pipeline") -> None:
        if not (settings[0].control or settings[0].refiner):
            first = settings[: counts[0]]
            outline.prepare_parts(outline.order(first, pictures=pictures, batch=batch or None))

    pipe = with_programs(model, say, settings[:1], ahead=prepare, **options)
    drawn: list[Array] = []
    for number, count in enumerate(counts):
        first = sum(map(len, drawn))
        part = settings[first : first + count]
        order = pipe.order(part, pictures=pictures, batch=batch or None)
        drawn.append(pipe.pictures(pipe.drawn(order, partial(_in_all, progress, number)), order))
    return np.concatenate(drawn)


def _in_all(progress: Callable[[int, int], Any], batch: int, done: int, rows: int) -> None:
    progress(batch * rows + done, rows)


def check_models(settings: Iterable[Settings], spec: ModelSpec) -> None:
    """Looks for the models that settings name beside the first one, before any weight is read.

    Raises:
      ValueError: there is none, or one that does not go with the first.
    """
    controls, refiners = beside(settings)
    for name in controls:
        controlnet_place(name)
    for name in refiners:
        open_refiner(name, spec)


def with_programs(
    model: str, say: Callable[[str], None], settings: Sequence[Settings] = (), **options: Any
) -> "jaxsd.Pipeline":
    """A model with its ControlNets and refiners, which keeps compiled programs on disk.

    Args:
      model: as for `jaxsd.load`.
      say: called with lines about the cache and the model.
      settings: which name other models.
      options: of `jaxsd.load`.

    Raises:
      ValueError: a model that cannot be used.
    """
    # Objects made before the first picture stay in use: searching them for garbage again and again,
    # and once more at the end, would take a tenth of a short run.
    gc.disable()
    # Imported here because these import jax: wrong arguments are reported without that delay.
    from jaxsd.executables import Executables
    from jaxsd.folders import writable_cache
    from jaxsd.jax_cache import keep_compiled
    from jaxsd.pipeline import with_beside

    cache = writable_cache(say)
    keep_compiled(cache, announce=say)
    introduce(model, cache, say)
    programs = Executables(cache and cache / "programs", say)
    pipe = jaxsd.load(model, programs=programs, **options)
    pipe = with_beside(pipe, settings)
    gc.freeze()
    gc.enable()
    return pipe


def introduce(model: str, cache: Path | None, say: Callable[[str], None]) -> None:
    """Says what the built-in model is, the first time that it is used; `cache` remembers it."""
    told = cache and cache / "introduced"
    if model == "emoji" and told and not told.exists():
        say(
            "the built-in model draws emoji; for other pictures pass --model: a diffusers folder, "
            "a .safetensors or .ckpt file, or a hub id of SD 1, 2 or XL"
        )
        with contextlib.suppress(OSError):  # a full disk
            told.touch()
