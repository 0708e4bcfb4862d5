"""The line from a request to a drawing: run whole or in parts, or made ready to run."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np

from jaxsd.executables import Executables
from jaxsd.sampling import rows
from jaxsd.sampling.program import (
    Drawing,
    Networks,
    Request,
    draw,
    finish,
    go_on,
    go_on_reusing,
    start,
)
from jaxsd.schedulers import Tableau
from jaxsd.types import Params

Progress = Callable[[int, int], None]
"""(rows done, rows in all)."""


class Order(NamedTuple):
    """A drawing that can begin.

    Attributes:
      guided: whether there are negative prompts.
      interval: rows (first, end) with guidance.
      anew: [S] bool, rows that make deep features anew; None for all.
    """

    tableau: Tableau
    request: Request
    guided: bool
    interval: tuple[int, int]
    anew: np.ndarray | None


class Line(NamedTuple):
    """The programs of `jaxsd.sampling.program` with what they are given every time."""

    networks: Networks
    params: Params
    programs: Executables

    def whole(self, order: Order) -> Drawing:
        """The drawing, by one program."""
        static = {"networks": self.networks, "guided": order.guided}
        if order.guided and order.interval != (0, order.tableau.rows):
            static["interval"] = order.interval
        arrays = {"params": self.params, "tableau": order.tableau, "request": order.request}
        if order.anew is not None:
            arrays["anew"] = order.anew
        return self.programs(draw, static, **arrays)

    def in_parts(self, order: Order, progress: Progress) -> Drawing:
        """The drawing, by a program for each row; `progress` is told after every one."""
        networks, params, tableau = {"networks": self.networks}, self.params, order.tableau
        conditions, state = self.programs(
            start, networks, params=params, tableau=rows(tableau, 0, 1), request=order.request
        )
        first, end = order.interval
        finite, deep = [], None
        for row in range(tableau.rows):
            static = networks | {"guided": first <= row < end}
            arrays = {
                "params": params,
                "part": rows(tableau, row, row + 1),
                "first_row": np.int32(row),
                "conditions": conditions,
                "state": state,
                "keys": order.request.keys,
            }
            if order.anew is None:
                state, ok = self.programs(go_on, static, **arrays)
            else:
                arrays |= {} if order.anew[row] else {"deep": deep}
                state, deep, ok = self.programs(go_on_reusing, static, **arrays)
            finite.append(np.asarray(ok))
            progress(row + 1, tableau.rows)
        latents = state.samples[0]
        images = self.programs(finish, networks, params=params, latents=latents)
        return Drawing(images, latents, np.concatenate(finite))

    def prepare_whole(self, request: Request, tableau: Tableau, *, guided: bool) -> None:
        """Loads or compiles what `whole` runs with guidance everywhere or nowhere."""
        static = {"networks": self.networks, "guided": guided}
        arrays = {"params": self.params, "tableau": tableau, "request": request}
        self.programs.prepared(draw, static, **arrays)

    def prepare_parts(self, request: Request, tableau: Tableau, *, guided: bool) -> None:
        """The same for `in_parts`."""
        assert self.networks.mesh is None, "parts for a mesh are compiled when they are needed"
        networks, params = {"networks": self.networks}, self.params
        started = self.programs.prepared(
            start, networks, params=params, tableau=rows(tableau, 0, 1), request=request
        )
        conditions, state = jax.tree.map(
            lambda array: jax.ShapeDtypeStruct(array.shape, array.dtype), started.out_info
        )
        self.programs.prepared(
            go_on,
            networks | {"guided": guided},
            params=params,
            part=rows(tableau, 0, 1),
            first_row=np.int32(0),
            conditions=conditions,
            state=state,
            keys=request.keys,
        )
        self.programs.prepared(finish, networks, params=params, latents=request.noise)
