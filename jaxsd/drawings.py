"""Any number of images, in batches of few sizes, with programs that are kept on disk."""

import contextlib
import gc
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import jaxsd
from jaxsd.canvases import Pictures
from jaxsd.settings import Settings, adapters_of
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
    settings: Sequence[Settings],
    pictures: Pictures,
    *,
    progress: Callable[[int, int], Any],
    say: Callable[[str], None],
    **options: Any,
) -> Array:
    """The images of checked settings, uint8 [B, H, W, 3].

    Args:
      model: as for `jaxsd.load`.
      settings: alike but for prompts and seeds.
      pictures: that all of them use.
      progress: called with the network calls that are done, and with those of a batch.
      say: called with lines about the cache and the model.
      options: of `jaxsd.load`.

    Raises:
      ValueError: a model or an adapter that cannot be used.
      FloatingPointError: latents that are not finite.
    """
    # Objects made before the first picture stay in use: searching them for garbage again and again,
    # and once more at the end, would take a tenth of a short run.
    gc.disable()
    # Imported here because these import jax: wrong arguments are reported without that delay.
    from jaxsd.executables import Executables
    from jaxsd.folders import writable_cache
    from jaxsd.jax_cache import keep_compiled
    from jaxsd.pipeline import Pipeline, check_adapters, outline, with_controlnet

    if any(adapters_of([one]).files for one in settings):
        check_adapters(settings, outline(model, **options).spec)
    cache = writable_cache(say)
    keep_compiled(cache, announce=say)
    introduce(model, cache, say)
    programs = Executables(cache and cache / "programs", say)
    counts = batches(len(settings))
    names = dict.fromkeys(control.model for control in settings[0].control)

    def prepare(unread: Pipeline) -> None:
        if not names:
            unread.prepare_parts(unread.order(settings[: counts[0]], pictures=pictures))

    pipe = jaxsd.load(model, programs=programs, ahead=prepare, **options)
    for name in names:
        pipe = with_controlnet(pipe, name)
    gc.freeze()
    gc.enable()
    drawn: list[Array] = []
    for number, count in enumerate(counts):
        first = sum(map(len, drawn))
        order = pipe.order(settings[first : first + count], pictures=pictures)
        drawn.append(pipe.pictures(pipe.drawn(order, partial(_in_all, progress, number)), order))
    return np.concatenate(drawn)


def _in_all(progress: Callable[[int, int], Any], batch: int, done: int, rows: int) -> None:
    progress(batch * rows + done, rows)


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
