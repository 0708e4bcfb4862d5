"""Flags of `jaxsd serve` for ComfyUI's clients, and what runs their graphs."""

import argparse
from pathlib import Path
from typing import Any

from jaxsd.cli.options import reading
from jaxsd.convert.reading import Reading
from jaxsd.folders import cache_folder


def add_comfy(parser: argparse.ArgumentParser) -> None:
    """Adds the flags."""
    parser.add_argument(
        "--comfy", action="store_true", help="answer ComfyUI's clients too, and run their graphs"
    )
    parser.add_argument(
        "--comfy-models",
        action="append",
        default=[],
        metavar="DIR",
        help="ComfyUI's folder of models for graphs, with checkpoints, loras, ...; may be given "
        "several times",
    )
    parser.add_argument(
        "--extra-model-paths", metavar="FILE", help="an extra_model_paths.yaml for graphs"
    )
    parser.add_argument(
        "--comfy-frontend",
        metavar="DIR",
        help="the folder static of comfyui-frontend-package, ComfyUI's editor, to serve in place "
        "of the page",
    )


def check_comfy(args: argparse.Namespace) -> None:
    """Checks them.

    Raises:
      ValueError: naming one that does not fit.
    """
    comfy_flags = (*args.comfy_models, args.extra_model_paths, args.comfy_frontend)
    if any(comfy_flags) and not args.comfy:
        raise ValueError("folders for graphs of ComfyUI are given without --comfy; add it")
    if args.comfy and (args.safety_checker or args.c2pa):
        raise ValueError(
            "--safety-checker and --c2pa do not reach pictures of --comfy's graphs; serve these by "
            "a server of their own"
        )
    if args.comfy_frontend and not (Path(args.comfy_frontend) / "index.html").is_file():
        raise ValueError(
            f"--comfy-frontend {args.comfy_frontend} has no index.html; give the folder static of "
            "comfyui-frontend-package (pip install)"
        )


def extra_paths(args: argparse.Namespace) -> dict[str, list[Path]]:
    """Kind of model for graphs -> folders."""
    if not args.extra_model_paths:
        return {}
    from jaxsd.workflow import read_extra_paths

    return read_extra_paths(args.extra_model_paths)


def comfy_of(
    args: argparse.Namespace,
    extra: dict[str, list[Path]],
    sources: dict[str, str],
    shelf: Any,
    programs: Any,
) -> Any:
    """What runs graphs; the models that are served are checkpoints there, by their names."""
    from jaxsd.server.comfy import Comfy
    from jaxsd.server.comfy_events import Events
    from jaxsd.server.comfy_queue import ComfyQueue
    from jaxsd.workflow import Workspace

    base = (Path(args.data) if args.data else cache_folder() / "served") / "comfy"
    for kind, own in (("loras", args.lora_folder), ("embeddings", args.embedding_folder)):
        extra[kind] = [*extra.get(kind, ()), *map(Path, own)]
    names = {source: name for name, source in sources.items()}
    place = Workspace(
        models=[Path(one) for one in args.comfy_models],
        extra=extra,
        named=sources,
        inputs=base / "input",
        outputs=base / "output",
        dtype=args.dtype,
        reading=Reading(**reading(args)).stated,
        programs=programs,
        closed=True,
        opened=lambda source: shelf.pipe(names.get(source)),
    )
    editor = Path(args.comfy_frontend) if args.comfy_frontend else None
    return Comfy(ComfyQueue(place, Events()), base / "editor", editor)
