"""`jaxsd workflow run GRAPH`: ComfyUI's graphs, run here; and as programs, and made of recipes."""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from jaxsd.cli.options import add_dtype, add_reading, reading
from jaxsd.cli.progress import StepBar, say
from jaxsd.convert.files.tensors import computed_in
from jaxsd.convert.reading import Reading
from jaxsd.terminal import printable
from jaxsd.writing import replacing

VERBS = {
    "run": "run a graph",
    "to-python": "the graph as a program that draws the same pixels",
    "to-graph": "a graph for ComfyUI of what a picture of jaxsd generate was made from",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    verbs = "; ".join(f"{verb}: {text}" for verb, text in VERBS.items())
    parser.add_argument("verb", choices=VERBS, metavar="VERB", help=verbs)
    parser.add_argument(
        "graph", metavar="GRAPH", help="JSON of the API or the editor, or a picture with one inside"
    )
    parser.add_argument(
        "values",
        nargs="*",
        metavar="NODE.INPUT=VALUE",
        help="an input of a node, by its id, title or class, such as 3.steps=4; before options",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="OUT",
        help="folder of the pictures (output); file of a program or a graph (it is printed)",
    )
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
    parser.add_argument(
        "--count",
        type=int,
        default=1,
        metavar="N",
        help="run it so often, with seeds that grow by one; what does not change is kept (1)",
    )
    parser.add_argument(
        "--noise",
        default="cuda",
        choices=("cuda", "torch"),
        help="where the noise of later steps was drawn: an NVIDIA GPU, or torch on a CPU (cuda)",
    )
    add_dtype(parser)
    add_reading(parser)


def main(args: argparse.Namespace) -> None:
    """Runs the verb."""
    {"run": _run, "to-python": _to_python, "to-graph": _to_graph}[args.verb](args)


def _run(args: argparse.Namespace) -> None:
    computed_in(args.dtype)
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


def _to_python(args: argparse.Namespace) -> None:
    from jaxsd.workflow import overridden, read_graph
    from jaxsd.workflow.to_python import python_of

    graph = overridden(read_graph(args.graph)[0], args.values)
    _write(args.output, python_of(graph, _workspace(args), Path(args.graph).name))


def _to_graph(args: argparse.Namespace) -> None:
    from jaxsd.metadata import read_again
    from jaxsd.workflow import holds_graph, read_graph, table_from
    from jaxsd.workflow.to_graph import graph_of_recipe

    if holds_graph(args.graph):
        table, left = table_from(read_graph(args.graph)[0]), ()
    else:
        table, left = graph_of_recipe(read_again(args.graph).recipe)
    if left:
        print(
            printable(f"{args.graph}: not the same in the graph: {'; '.join(left)}"),
            file=sys.stderr,
        )
    _write(args.output, json.dumps(table, indent=2) + "\n")


def _write(output: str | None, text: str) -> None:
    if output is None:
        print(text, end="")
        return
    with replacing(Path(output)) as part:
        part.write_text(text, encoding="utf-8")
    print(output)


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
        outputs=Path(args.output if args.verb == "run" and args.output else "output"),
        dtype=args.dtype,
        reading=Reading(**reading(args)).stated,
        noise=args.noise,
        **more,
    )
