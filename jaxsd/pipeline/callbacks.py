"""Functions of a user that are called after each step, in the shape that diffusers gives them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from jaxsd.parallel import IMAGES, own_share
from jaxsd.pipeline.batches import placed
from jaxsd.pipeline.drawing import Shown
from jaxsd.pipeline.order import Order
from jaxsd.types import Array

Callback = Callable[[Any, int, float | np.ndarray, dict[str, Array]], Mapping[str, Array] | None]
"""(pipeline, step, timestep, {"latents": [B, h, w, c] float32}) -> {"latents": changed} or None.

`step` counts network calls from 0. `timestep` is a number, or [B] where images are at different
ones. The latents are the sample that the next call sees, at the level of diffusers' schedulers.
"""

TENSORS = ("latents", "x0")
"""What a callback may ask for: the sample, and the newest estimate of the picture's latents."""


def on_step_end(
    callback: Callback, pipe: Any, order: Order, inputs: Sequence[str]
) -> Callable[[Shown], Shown]:
    """A function for `steps` that calls `callback` and goes on from the latents it returns.

    Args:
      callback: the user's.
      pipe: the pipeline, which the callback is given.
      order: what is drawn.
      inputs: names of `TENSORS`, for the callback's last argument.

    Raises:
      ValueError: a name that is not in `TENSORS`.
    """
    if isinstance(inputs, str) or not set(inputs) <= set(TENSORS):
        raise ValueError(
            f"callback_on_step_end_tensor_inputs is {inputs!r}; it is a list of names out of "
            f"{', '.join(TENSORS)}"
        )
    timesteps = _timesteps(order)
    count, mesh = len(order.settings), pipe.mesh

    def call(shown: Shown) -> Shown:
        state, step = shown.state, shown.row - 1
        found = {"latents": state.samples[:, 0], "x0": state.x0}
        if mesh is not None:
            found = {name: own_share(found[name], IMAGES, mesh) for name in found}
        own = {name: found[name][:count] for name in inputs}
        told = timesteps[step][:count]
        level = float(told[0]) if (told == told[0]).all() else told
        changed = (callback(pipe, step, level, dict(own)) or {}).get("latents")
        if changed is None or changed is own.get("latents"):
            return shown
        if np.shape(changed) != (wanted := found["latents"][:count].shape):
            raise ValueError(
                f"callback_on_step_end gave latents of shape {np.shape(changed)}, not {wanted}"
            )
        samples = state.samples if mesh is None else own_share(state.samples, IMAGES, mesh)
        samples = np.array(samples)
        samples[:count, 0] = changed
        return shown._replace(state=state._replace(samples=placed(samples, mesh)))

    return call


def _timesteps(order: Order) -> np.ndarray:
    """Of each network call, [S, B]."""
    own = [run.row.timestep for run in order.runs]
    return np.concatenate([*own, *([_timesteps(order.later)] if order.later else [])])
