"""ComfyUI's graphs: read, checked, run with the networks and features of everything else.

`run_graph(read_graph("graph.json")[0], Workspace(models=[Path("models")]))`
"""

import jaxsd.workflow.nodes  # noqa: F401  which fills the table of classes
from jaxsd.workflow.checking import check_graph
from jaxsd.workflow.execution import Cache, run_graph
from jaxsd.workflow.given_places import named_by, read_extra_paths
from jaxsd.workflow.graph import (
    Graph,
    Link,
    Node,
    graph_of,
    holds_graph,
    overridden,
    read_graph,
    seeded,
    table_from,
)
from jaxsd.workflow.workspace import Workspace

__all__ = [
    "Cache",
    "Graph",
    "Link",
    "Node",
    "Workspace",
    "check_graph",
    "graph_of",
    "holds_graph",
    "named_by",
    "overridden",
    "read_extra_paths",
    "read_graph",
    "run_graph",
    "seeded",
    "table_from",
]
