"""Any number of images, in batches of few sizes, with programs that are kept on disk."""

import contextlib
import gc
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import jaxsd
from jaxsd.canvases import Pictures
from jaxsd.config import ModelSpec, TinyVAEConfig
from jaxsd.convert.controlnet import kinds_in
from jaxsd.convert.refiner import open_refiner
from jaxsd.convert.stored_model import StoredModel
from jaxsd.convert.tiny_vae import with_tiny_vae
from jaxsd.latent_colours import colours_for
from jaxsd.preview_display import PreviewDisplay
from jaxsd.settings import Settings, beside, check_kind
from jaxsd.types import Array

if TYPE_CHECKING:  # it imports jax
    from jaxsd.executables import Executables

LARGEST_BATCH = 8
"""Images drawn at a time."""


class Preview(NamedTuple):
    """How pictures are shown while they are drawn."""

    display: PreviewDisplay
    taesd: str | None  # a tiny autoencoder for previews alone


def batches(count: int) -> list[int]:
    """Images to draw at a time, each a power of two: few sizes, so that few programs are compiled.

    An image is the same in a batch of any size, up to rounding.
    """
    whole, rest = divmod(count, LARGEST_BATCH)
    powers = [2**bit for bit in reversed(range(LARGEST_BATCH.bit_length() - 1)) if rest >> bit & 1]
    return [LARGEST_BATCH] * whole + powers


def calls_of_command(settings: Sequence[Settings]) -> list[int]:
    """Images to draw at a time: all of them where they are the frames of a clip."""
    return [len(settings)] if settings[0].motion else batches(len(settings))


def draw(
    model: str,
    spec: ModelSpec,
    settings: Sequence[Settings],
    pictures: Pictures,
    *,
    batch: int = 0,
    progress: Callable[[int, int], Any],
    say: Callable[[str], None],
    preview: Preview | None = None,
    **options: Any,
) -> Iterator[Array]:
    """The images of checked settings, each uint8 [H, W, 3], as soon as its call is done.

    Args:
      model: as for `jaxsd.load`.
      spec: of the model.
      settings: alike but for prompts and seeds.
      pictures: that all of them use.
      batch: a call draws at least so many, of which some are cut.
      progress: called with the network calls that are done, and with those of a batch.
      say: called with lines about the cache and the model.
      preview: what shows pictures meanwhile.
      options: of `jaxsd.load`.

    Raises:
      ValueError: a model, or an adapter, that cannot be used.
      FloatingPointError: latents that are not finite.
    """
    from jaxsd.pipeline import check_adapters

    check_adapters(settings, spec)
    counts = calls_of_command(settings)

    def prepare(outline: "jaxsd.Pipeline") -> None:
        if not (settings[0].control or settings[0].refiner):
            first = settings[: counts[0]]
            outline.prepare_parts(outline.order(first, pictures=pictures, batch=batch or None))

    pipe = with_programs(model, say, settings[:1], ahead=prepare, **options)
    watched = _watched(pipe, preview, settings[0].drawn_size) if preview else {}
    drawn = 0
    for number, count in enumerate(counts):
        part = settings[drawn : drawn + count]
        order = pipe.order(part, pictures=pictures, batch=batch or None)
        drawing = pipe.drawn(order, partial(_in_all, progress, number), **watched)
        yield from pipe.pictures(drawing, order)
        drawn += count
    if preview:
        preview.display.close()


def drawer(
    model: str,
    spec: ModelSpec,
    settings: Sequence[Settings],
    *,
    say: Callable[[str], None],
    **options: Any,
) -> Callable[[Settings, Pictures, np.ndarray, float], np.ndarray]:
    """A function that draws images one by one, of noise that it is given.

    Args:
      model: as for `jaxsd.load`.
      spec: of the model.
      settings: checked; they name all other models and adapters.
      say: called with lines about the cache and the model.
      options: of `jaxsd.load`.

    Returns:
      (checked settings, pictures, noise [h, w, c], share) -> uint8 [H, W, 3]: the share is that of
      the picture to begin from in the latents at the end.

    Raises:
      ValueError: a model, or an adapter, that cannot be used.
    """
    from jaxsd.pipeline import check_adapters

    check_models(settings, spec)
    check_adapters(settings, spec)
    pipe = with_programs(model, say, settings, **options)

    def draw_one(one: Settings, pictures: Pictures, noise: np.ndarray, share: float) -> np.ndarray:
        order = pipe.order(one, pictures=pictures, latents=noise[None])
        # Step by step, since those programs serve images with and without a picture.
        drawing = pipe.drawn(order, lambda done, rows: None)
        if not share:
            return pipe.pictures(drawing, order)[0]
        before = pipe.encode(order.canvases[0].image[None])
        return pipe.decode((1 - share) * drawing.latents + share * before)[0]

    return draw_one


def check_preview(model: StoredModel, taesd: str | None) -> None:
    """Finds out whether previews can be made of a model.

    Args:
      model: opened.
      taesd: of `Preview`.

    Raises:
      ValueError: another tiny autoencoder, or latents whose colours are not known.
      FileNotFoundError: no such folder or file.
    """
    if taesd is not None:
        with_tiny_vae(model, taesd)
    elif not isinstance(model.spec.vae, TinyVAEConfig):
        colours_for(model.spec)


def only_fit(folder: str | None, say: Callable[[str], None]) -> Callable[[Path, np.ndarray], bool]:
    """A function that tells which images may be written, for `jaxsd.outputs.saved`.

    Args:
      folder: of a safety checker; None for none.
      say: called with a line about each image that may not.

    Raises:
      ValueError: it is no safety checker.
      FileNotFoundError: there is no such folder.
    """
    if folder is None:
        return lambda path, image: True
    from jaxsd.safety import open_checker

    checker = open_checker(folder)

    def fit(path: Path, image: np.ndarray) -> bool:
        if reason := checker(image).reason:
            say(f"{path} is not written: {folder} finds {reason}")
        return not reason

    return fit


def _watched(pipe: "jaxsd.Pipeline", preview: Preview, size: tuple[int, int]) -> dict[str, Any]:
    """The arguments of `Pipeline.drawn` that show what is being drawn."""
    from jaxsd.pipeline.previews import previewer

    make = previewer(pipe, preview.taesd)

    def show(pipe: "jaxsd.Pipeline", row: int, timestep: float, tensors: dict[str, Array]) -> None:
        if preview.display.due():
            preview.display.show(make(tensors["x0"]), size)

    return {"callback_on_step_end": show, "callback_on_step_end_tensor_inputs": ("x0",)}


def _in_all(progress: Callable[[int, int], Any], batch: int, done: int, rows: int) -> None:
    progress(batch * rows + done, rows)


def check_models(settings: Iterable[Settings], spec: ModelSpec) -> None:
    """Looks for the models that settings name beside the first one, before any weight is read.

    Raises:
      ValueError: there is none, or one that does not go with the first.
    """
    settings = list(settings)
    for control in dict.fromkeys(control for one in settings for control in one.control):
        check_kind(control, kinds_in(control.model))
    for name in beside(settings)[1]:
        open_refiner(name, spec)


def with_programs(
    model: str,
    say: Callable[[str], None],
    settings: Sequence[Settings] = (),
    programs: "Executables | None" = None,
    **options: Any,
) -> "jaxsd.Pipeline":
    """A model with its ControlNets and refiners, which keeps compiled programs on disk.

    Args:
      model: as for `jaxsd.load`.
      say: called with lines about the cache and the model.
      settings: which name other models.
      programs: that models of before have too; None for own ones.
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
    programs = programs or Executables(cache and cache / "programs", say)
    pipe = jaxsd.load(model, programs=programs, **options)
    pipe = with_beside(pipe, settings)
    _freeze()
    gc.enable()
    return pipe


@cache
def _freeze() -> None:
    """Freezes what is there, once: a model that a server reads later may become garbage."""
    gc.freeze()


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
