"""A model with its compiled programs, as commands load it."""

import argparse
import contextlib
import gc
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import jaxsd
from jaxsd.cli.options import reading


def loaded(
    args: argparse.Namespace,
    say: Callable[[str], None],
    controls: Iterable[str] = (),
    ahead: Callable[[Any], None] = lambda outline: None,
) -> "jaxsd.Pipeline":
    """The pipeline of the arguments, with its ControlNets; `ahead` is that of `jaxsd.load`."""
    # Objects made before the first picture stay in use: searching them for garbage again and again,
    # and once more at the end, would take a tenth of a short run.
    gc.disable()
    # Imported here because these import jax: wrong arguments are reported without that delay.
    from jaxsd.executables import Executables
    from jaxsd.folders import writable_cache
    from jaxsd.jax_cache import keep_compiled
    from jaxsd.pipeline import with_controlnet

    cache = writable_cache(say)
    keep_compiled(cache, announce=say)
    introduce(args.model, cache, say)
    pipe = jaxsd.load(
        args.model,
        dtype=args.dtype,
        taesd=args.taesd,
        programs=Executables(cache and cache / "programs", say),
        ahead=ahead,
        **reading(args),
    )
    for name in controls:
        pipe = with_controlnet(pipe, name)
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
