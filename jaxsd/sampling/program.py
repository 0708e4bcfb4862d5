"""Prompts to pictures as pure functions: encode, denoise, decode; whole, or in parts.

Weights and everything that a user changes from call to call are arguments, so that only shapes and
the static facts (`Networks`, `guided`, `interval`) decide what is compiled. On a mesh every
program runs on each device's own images (`jaxsd.parallel`).
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxsd.parallel import EVERYWHERE, IMAGES, IMAGES_SECOND, param_specs, per_device
from jaxsd.sampling.loop import State, advance, advance_recalling, begin, fresh_noise, rows
from jaxsd.sampling.networks import (
    Conditions,
    Networks,
    Request,
    around,
    decode,
    encode,
    guided_network,
    no_features,
    reusing_network,
)
from jaxsd.schedulers import Tableau
from jaxsd.types import Array, Params

INITIAL_NOISE = 2**32 - 1
"""Folded into an image's key for the noise it starts from; rows of the table are 0, 1, 2, ..."""


class Drawing(NamedTuple):
    """What comes out."""

    images: Array  # [B, H, W, 3] float32, about [-1, 1]
    latents: Array  # [B, h, w, c] float32
    finite: Array  # [S, B] bool, after each row


DRAWING = Drawing(IMAGES, IMAGES, IMAGES_SECOND)
"""How a drawing lies on a mesh."""


@partial(jax.jit, static_argnames="shape")
def initial_noise(keys: Array, shape: tuple[int, ...]) -> Array:
    """Unit noise [B, h, w, c] float32; image i's, of shape [h, w, c], depends on keys[i] alone."""
    return fresh_noise(keys, INITIAL_NOISE, jax.ShapeDtypeStruct((len(keys), *shape), jnp.float32))


@partial(jax.jit, static_argnames=("networks", "guided", "interval"))
def draw(
    networks: Networks,
    params: Params,
    tableau: Tableau,
    request: Request,
    anew: Array | None = None,
    *,
    guided: bool,
    interval: tuple[int, int] | None = None,
) -> Drawing:
    """The whole line as one program.

    Args:
      networks: static.
      params: of all networks.
      tableau: of the sampler.
      request: what is asked for.
      anew: [S] bool, rows that run the whole U-Net, among them the first of every loop; the others
        run its outermost level around the deep features of the row before. None for all.
      guided: whether there are negative prompts; static.
      interval: rows (first, end) that are guided, if not all; static. Each kind of rows is a loop.
    """

    def run(params: Params, tableau: Tableau, request: Request, anew: Array | None) -> Drawing:
        conditions = encode(networks, params, request)
        state, finite = begin(tableau, request.noise), []
        for first, end, doubled in _spans(tableau.rows, guided, interval):
            part, asked = rows(tableau, first, end), (networks, params, conditions, doubled)
            if anew is None:
                network = guided_network(*asked)
                state, ok = advance(part, network, state, request.keys, first_row=first)
            else:
                state, _, ok = advance_recalling(
                    part,
                    reusing_network(*asked),
                    state,
                    no_features(networks, request.noise, doubled),
                    anew[first:end],
                    request.keys,
                    first_row=first,
                )
            finite.append(ok)
        latents = state.samples[0]
        return Drawing(decode(networks, params, latents), latents, jnp.concatenate(finite))

    in_specs = (param_specs(params, networks.mesh), EVERYWHERE, IMAGES, EVERYWHERE)
    return per_device(networks.mesh, run, in_specs, DRAWING)(params, tableau, request, anew)


def _spans(
    count: int, guided: bool, interval: tuple[int, int] | None
) -> list[tuple[int, int, bool]]:
    """Rows (first, end, whether guided), one after the other, none of them empty."""
    if interval is None or not guided:
        return [(0, count, guided)]
    first, end = interval
    spans = [(0, first, False), (first, end, True), (end, count, False)]
    return [span for span in spans if span[0] < span[1]]


@partial(jax.jit, static_argnames="networks")
def start(
    networks: Networks, params: Params, tableau: Tableau, request: Request
) -> tuple[Conditions, State]:
    """The first part of `draw`."""

    def run(params: Params, tableau: Tableau, request: Request) -> tuple[Conditions, State]:
        return encode(networks, params, request), begin(tableau, request.noise)

    in_specs = (param_specs(params, networks.mesh), EVERYWHERE, IMAGES)
    out_specs = (IMAGES, IMAGES_SECOND)
    return per_device(networks.mesh, run, in_specs, out_specs)(params, tableau, request)


@partial(jax.jit, static_argnames=("networks", "guided"))
def go_on(
    networks: Networks,
    params: Params,
    part: Tableau,
    first_row: Array,
    conditions: Conditions,
    state: State,
    keys: Array,
    *,
    guided: bool,
) -> tuple[State, Array]:
    """The middle part of `draw`: the rows of `part`, the first of them number `first_row`."""

    def run(
        params: Params,
        part: Tableau,
        first_row: Array,
        conditions: Conditions,
        state: State,
        keys: Array,
    ) -> tuple[State, Array]:
        network = guided_network(networks, params, conditions, guided)
        return advance(part, network, state, keys, first_row=first_row)

    specs = param_specs(params, networks.mesh)
    in_specs = (specs, EVERYWHERE, EVERYWHERE, IMAGES, IMAGES_SECOND, IMAGES)
    shared = per_device(networks.mesh, run, in_specs, (IMAGES_SECOND, IMAGES_SECOND))
    return shared(params, part, first_row, conditions, state, keys)


@partial(jax.jit, static_argnames=("networks", "guided"))
def go_on_reusing(
    networks: Networks,
    params: Params,
    part: Tableau,
    first_row: Array,
    conditions: Conditions,
    state: State,
    keys: Array,
    deep: Array | None = None,
    *,
    guided: bool,
) -> tuple[State, Array, Array]:
    """`go_on` for one row that makes deep features, given None, or that uses some again.

    Returns:
      The state, the deep features [B or 2B, h, w, d] and [1, B] bool, see `advance`.
    """

    def run(
        params: Params,
        part: Tableau,
        first_row: Array,
        conditions: Conditions,
        state: State,
        keys: Array,
        deep: Array | None,
    ) -> tuple[State, Array, Array]:
        def network(x: Array, timestep: Array, memory: Array, _: None) -> tuple[Array, Array]:
            known = None if deep is None else memory
            return around(networks, params, conditions, guided, known, x, timestep)

        memory = no_features(networks, state.samples[0], guided) if deep is None else deep
        return advance_recalling(part, network, state, memory, None, keys, first_row=first_row)

    specs = param_specs(params, networks.mesh)
    in_specs = (specs, EVERYWHERE, EVERYWHERE, IMAGES, IMAGES_SECOND, IMAGES, IMAGES)
    out_specs = (IMAGES_SECOND, IMAGES, IMAGES_SECOND)
    shared = per_device(networks.mesh, run, in_specs, out_specs)
    return shared(params, part, first_row, conditions, state, keys, deep)


@partial(jax.jit, static_argnames="networks")
def finish(networks: Networks, params: Params, latents: Array) -> Array:
    """The last part of `draw`."""
    in_specs = (param_specs(params, networks.mesh), IMAGES)
    return per_device(networks.mesh, partial(decode, networks), in_specs, IMAGES)(params, latents)
