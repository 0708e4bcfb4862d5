"""`jaxsd workflow run GRAPH`: ComfyUI's graphs, run here; and as programs, and made of recipes."""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from jaxsd.cli.progress import StepBar, say
from jaxsd.convert.files.tensors import dtype_named


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    run = verbs.add_parser("run", help="run a graph", description="run a graph of ComfyUI")
    run.add_argument("graph", metavar="GRAPH", help="JSON of the API or the editor, or a picture")
    run.add_argument(
        "values",
        nargs="*",
        metavar="NODE.INPUT=VALUE",
        help="an input of a node, by its id, title or class, such as 3.steps=4",
    )
    _add_places(run)
    run.add_argument("-o", "--output", default="output", metavar="DIR", help="(output)")
    run.add_argument("--dtype", default="float32", help="float32, bfloat16 or float16 (float32)")
    run.add_argument(
        "--count",
        type=int,
        default=1,
        metavar="N",
        help="run it so often, with seeds that grow by one; what does not change is kept (1)",
    )
    run.add_argument(
        "--noise",
        default="cuda",
        choices=("cuda", "torch"),
        help="where the noise of later steps was drawn: an NVIDIA GPU, or torch on a CPU (cuda)",
    )
    for name, text in (
        ("to-python", "the graph as a program that draws the same pixels"),
        ("to-graph", "a graph for ComfyUI that draws what a picture of jaxsd generate shows"),
    ):
        verb = verbs.add_parser(name, help=text, description=text)
        verb.add_argument("graph", metavar="GRAPH" if name == "to-python" else "PICTURE")
        verb.add_argument("-o", "--output", metavar="FILE", help="if not given, it is printed")
        if name == "to-python":
            verb.add_argument("values", nargs="*", metavar="NODE.INPUT=VALUE", help="as for run")
            _add_places(verb)


def _add_places(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--models",
        action="append",
        default=[],
        metavar="DIR",
        help="ComfyUI's folder of models, with checkpoints, loras, ...; may be given several times",
    )
    parser.add_argument(
        "--extra-model-paths", metavar="FILE", help="an extra_model_paths.yaml of ComfyUI"
    )
    parser.add_argument(
        "--map",
        action="append",
        default=[],
        metavar="NAME=FILE",
        help="what a name in the graph stands for: a file, a folder, a built-in name, a hub id; "
        "checkpoints=emoji is for all checkpoints",
    )
    parser.add_argument(
        "--input", default="input", metavar="DIR", help="folder of pictures to load (input)"
    )


def main(args: argparse.Namespace) -> None:
    """Runs the verb."""
    {"run": _run}[args.verb](args)


def _run(args: argparse.Namespace) -> None:
    dtype_named(args.dtype)
    if args.count < 1:
        raise ValueError(f"--count {args.count} is not 1 or more")
    from jaxsd.workflow import check_graph, overridden, read_graph, run_graph, seeded

    started = time.perf_counter()
    graph, texts = read_graph(args.graph)
    graph = overridden(graph, args.values)
    check_graph(graph)
    bar = StepBar(0)

    def progress(done: int, rows: int) -> None:
        if done == 1:
            bar.bar.reset(rows)
        bar.bar.update(done - bar.bar.n)

    place = _workspace(args, progress=progress, programs=_programs(), texts=texts)
    cache: dict[str, Any] = {}
    try:
        for number in range(args.count):
            own = seeded(graph, number)
            run_graph(own, place, cache, lambda name, node: bar.bar.set_description(node.kind))
    finally:
        bar.bar.close()
        print("".join(f"{path}\n" for path in place.written), end="")
    seconds = time.perf_counter() - started
    print(f"{len(place.written)} written in {seconds:.1f} s", file=sys.stderr)


def _programs() -> Any:
    from jaxsd.executables import Executables
    from jaxsd.folders import writable_cache
    from jaxsd.jax_cache import keep_compiled

    cache = writable_cache(say)
    keep_compiled(cache, announce=say)
    return Executables(cache and cache / "programs", say)


def _workspace(args: argparse.Namespace, **more: Any) -> Any:
    from jaxsd.workflow import Workspace, named_by, read_extra_paths

    models = [Path(one) for one in args.models]
    for folder in models:
        if not folder.is_dir():
            raise FileNotFoundError(f"--models {str(folder)!r} is no folder")
    extra = read_extra_paths(args.extra_model_paths) if args.extra_model_paths else {}
    return Workspace(
        models=models,
        extra=extra,
        named=named_by(args.map),
        inputs=Path(args.input),
        outputs=Path(args.output),
        dtype=args.dtype,
        noise=args.noise,
        **more,
    )
