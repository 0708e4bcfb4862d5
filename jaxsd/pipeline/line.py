"""The line from a request to a drawing: run whole or in parts, or made ready to run."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

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
from jaxsd.schedulers import Tableau, guided_rows, renewed_rows
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

    def for_draw(self, params: Params) -> tuple[dict[str, Any], dict[str, Any]]:
        """Arguments of `jaxsd.sampling.program.draw`: static but for the networks, and arrays."""
        static: dict[str, Any] = {"guided": self.guided}
        if self.guided and self.interval != (0, self.tableau.rows):
            static["interval"] = self.interval
        arrays = {"params": params, "tableau": self.tableau, "request": self.request}
        return static, arrays if self.anew is None else arrays | {"anew": self.anew}


def ordered(
    tableau: Tableau,
    request: Request,
    *,
    guided: bool,
    guidance_interval: tuple[float, float],
    reuse: int,
) -> Order:
    """The order of a request; arguments as those of `Pipeline.draw`.

    Raises:
      ValueError: an interval or a reuse that is none.
    """
    interval = guided_rows(guidance_interval, tableau.rows) if guided else (0, 0)
    return Order(tableau, request, guided, interval, renewed_rows(reuse, interval, tableau.rows))


class Line(NamedTuple):
    """The programs of `jaxsd.sampling.program` with what they are given every time."""

    networks: Networks
    params: Params
    programs: Executables

    def whole(self, order: Order) -> Drawing:
        """The drawing, by one program."""
        static, arrays = order.for_draw(self.params)
        return self.programs(draw, {"networks": self.networks} | static, **arrays)

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

    def prepare_whole(self, order: Order) -> None:
        """Loads or compiles what `whole` runs; of an order, shapes and plans matter."""
        static, arrays = order.for_draw(self.params)
        self.programs.prepared(draw, {"networks": self.networks} | static, **arrays)

    def prepare_parts(self, order: Order) -> None:
        """The same for `in_parts`, the last part beside the others."""
        assert self.networks.mesh is None, "parts for a mesh are compiled when they are needed"
        last = {"params": self.params, "latents": order.request.noise}
        with ThreadPoolExecutor(1) as beside:
            networks = {"networks": self.networks}
            finished = beside.submit(self.programs.prepared, finish, networks, **last)
            self._prepare_rows(order)
            finished.result()

    def _prepare_rows(self, order: Order) -> None:
        networks, params, tableau = {"networks": self.networks}, self.params, order.tableau
        part = rows(tableau, 0, 1)
        started = self.programs.prepared(
            start, networks, params=params, tableau=part, request=order.request
        )
        conditions, state = shapes(started)
        first, end = order.interval
        for guided in sorted({first <= row < end for row in range(tableau.rows)}):
            static = networks | {"guided": guided}
            arrays = {
                "params": params,
                "part": part,
                "first_row": np.int32(0),
                "conditions": conditions,
                "state": state,
                "keys": order.request.keys,
            }
            if order.anew is None:
                self.programs.prepared(go_on, static, **arrays)
            else:
                _, deep, _ = shapes(self.programs.prepared(go_on_reusing, static, **arrays))
                self.programs.prepared(go_on_reusing, static, **arrays, deep=deep)


def shapes(program: jax.stages.Compiled) -> Any:
    """What a program gives, as shapes."""
    return jax.tree.map(
        lambda array: jax.ShapeDtypeStruct(array.shape, array.dtype), program.out_info
    )
