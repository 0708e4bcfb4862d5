"""How likely a model finds pictures: the log-density of their latents."""

import numpy as np

from jaxsd.pipeline.drawing import Programs, rows_between
from jaxsd.pipeline.order import Order
from jaxsd.sampling.likelihood import NAME, density
from jaxsd.sampling.program import encode
from jaxsd.schedulers import Tableau, inverted, trace_weights
from jaxsd.types import Array


def log_densities(programs: Programs, order: Order, tableau: Tableau) -> Array:
    """The log-density of the latents of an order's pictures, in nats, [B] float32.

    Args:
      programs: of a pipeline.
      order: with `source_prompt`, by the sampler `bdia`, without guidance, all images alike.
      tableau: of the drawing itself.
    """
    back = inverted(tableau)
    weights, of_one = trace_weights(back)
    [run] = order.runs
    there = rows_between(run, 0, back.rows)
    column = np.tile(weights[:, None], len(order.given.keys))
    there = there._replace(columns=there.columns | {NAME: column})
    conditions, state = programs(encode, given=order.given)
    told = {"steps": programs.placed(there), "conditions": conditions}
    found = programs.of_loop(density, **told, state=state, keys=order.given.keys)
    return found + of_one * order.given.noise[0].size
