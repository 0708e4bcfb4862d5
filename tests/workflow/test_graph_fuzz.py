"""Random wrong graphs of ComfyUI: each is read and checked, or refused in one line, soon."""

import ast
import json
import random
from pathlib import Path

from fuzzing import as_json, attempt, mutated, parts, seeds

from jaxsd.terminal import printable
from jaxsd.workflow import Workspace, read_graph, table_from
from jaxsd.workflow.checking import check_graph
from jaxsd.workflow.to_python import python_of

pytestmark = parts

FOLDER = Path(__file__).parents[1] / "data/comfy"
GRAPHS = [json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))]


def test_graphs(tmp_path: Path, part: int) -> None:
    path = tmp_path / "graph.json"
    for seed in seeds(part, 2):
        rng = random.Random(seed)
        table = rng.choice(GRAPHS)
        for _ in range(rng.choice((1, 1, 2, 4, 8))):
            table = mutated(rng, table)
        path.write_bytes(as_json(rng, table if rng.random() < 0.9 else {"prompt": table}))

        def read() -> None:
            try:
                graph, _ = read_graph(path)
                table_from(graph)
                check_graph(graph)
                ast.parse(python_of(graph, Workspace(), "x"))
            except ValueError as error:  # as commands show it
                line = str(error)
                raise ValueError(line if "\n" in line else printable(line)) from error

        attempt(read, seed)
