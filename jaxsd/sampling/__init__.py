"""The loop that runs samplers' tables over a network."""

from jaxsd.sampling.loop import (
    Network,
    Row,
    State,
    Step,
    advance,
    begin,
    first_non_finite,
    rows_of,
)
from jaxsd.sampling.own import sample

__all__ = [
    "Network",
    "Row",
    "State",
    "Step",
    "advance",
    "begin",
    "first_non_finite",
    "rows_of",
    "sample",
]
