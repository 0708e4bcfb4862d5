"""From an order to a drawing: in one program, or row by row."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxsd.executables import Executables
from jaxsd.parallel import share
from jaxsd.pipeline.order import Order
from jaxsd.pipeline.stored import InFile, in_memory
from jaxsd.pipeline.upscaling import enlarged_by, load_upscaler
from jaxsd.sampling import State, Step
from jaxsd.sampling.program import Drawing, Given, Networks, decode, denoise, draw, encode, enlarged
from jaxsd.settings import UPSCALERS
from jaxsd.types import Array, Params


class Programs(NamedTuple):
    """The programs of `jaxsd.sampling.program` with the arguments that stay the same."""

    networks: Networks
    params: Params
    run: Executables
    refiner: "Programs | None" = None  # of the model that takes over

    @property
    def later(self) -> "Programs":
        """Those of a second pass."""
        return self.refiner or self

    def __call__(self, function: Any, **arrays: Any) -> Any:
        """Runs one of them."""
        there = self.there
        made = self.run(function, {"networks": self.networks}, params=there.params, **arrays)
        # Weights that were read stay until the program ends: nothing is read meanwhile.
        return made if there is self else jax.block_until_ready(made)

    @property
    def there(self) -> "Programs":
        """The same for several calls, with weights that are in files read once."""
        if not self.in_files:
            return self
        self.run.forget()  # what ran before
        return self._replace(params=in_memory(self.params, self.run.wait_while_compiling))

    @property
    def in_files(self) -> bool:
        """Whether weights are in files while no network runs."""
        return any(isinstance(leaf, InFile) for leaf in jax.tree.leaves(self.params))

    def encoder_of(self, given: Given) -> "Programs":
        """The same for `encode` without the U-Net, and for texts alone without the autoencoder."""
        sees = given.image is not None or given.features
        unused = ("unet", "hypernet", "fusers", *(() if sees else ("vae",)))
        networks = self.networks._replace(hypernets=())
        return self._replace(networks=networks, params=_without(self.params, unused))

    @property
    def of_decoder(self) -> "Programs":
        """The same for `decode` without other networks: all drawings share its program."""
        none = {"controlnets": (), "ip_adapters": (), "text": (), "vision": None, "motion": None}
        networks = self.networks._replace(**none, hypernets=())
        return self._replace(networks=networks, params={"vae": self.params["vae"]})

    @property
    def of_loop(self) -> "Programs":
        """The same for `denoise` without what `encode` alone runs, such as text encoders."""
        networks = self.networks._replace(text=(), ip_adapters=(), vision=None)
        encoders = ("text", "ip_adapter", "vision", "normalizer", "position_net", "vae")
        params = _without(self.params, encoders)
        return self._replace(networks=networks, params=params)

    def ready(self, function: Any, **arrays: Any) -> Callable[..., Any]:
        """One of them for arrays of these shapes, looked up once for many calls.

        Looking it up takes as long as a few operations for each weight.
        """
        if self.in_files:
            return partial(self, function)
        static = {"networks": self.networks}
        program = self.run.prepared(function, static, params=self.params, **arrays)
        return partial(program, params=self.params)

    def placed(self, steps: Any) -> Any:
        """Rows [S, B, ...] where the programs need them: on the mesh, if there is one."""
        mesh = self.networks.mesh
        return steps if mesh is None else share(steps, mesh, axis=1)

    def prepared(self, function: Any, **arrays: Any) -> Any:
        """Loads or compiles one of them; returns the shapes of its results."""
        static = {"networks": self.networks}
        program = self.run.prepared(function, static, params=self.params, **arrays)
        return jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), program.out_info)


def _without(params: Params, names: Sequence[str]) -> Params:
    return {name: tree for name, tree in params.items() if name not in names}


class Shown(NamedTuple):
    """The state of a drawing after some rows."""

    row: int  # rows done
    rows: int  # rows in all
    state: State  # `state.x0` is the newest estimate of the latents, for previews
    finite: Array  # [S, B] bool, of the rows since the previous `Shown`


def whole(programs: Programs, order: Order) -> Drawing:
    """The drawing, in one program; with a second pass, in one for each, and one between."""
    drawing = programs(draw, given=order.given, runs=programs.placed(order.runs))
    if order.later is None:
        return drawing
    small = drawing.latents if order.later.given.source is not None else drawing.images
    later = whole(programs.later, continued(programs, order.later, small))
    return later._replace(finite=jnp.concatenate([drawing.finite, later.finite]))


def continued(programs: Programs, later: Order, small: Array) -> Order:
    """A second pass that begins from what the first one drew.

    Args:
      programs: of a pipeline.
      later: the pass, with arrays of the right shapes in place of what it begins from.
      small: latents [B, h, w, c] if it begins from those, else images [B, H, W, 3].
    """
    given = later.given
    if later.takes_over:
        return later._replace(given=given._replace(source=small))
    if given.source is None:  # as a picture of bytes would be
        small = jnp.clip(small, -1, 1)
    if file := _network_of(later):
        run, (vae, mesh) = programs.run, (programs.networks.vae, programs.networks.mesh)
        network = load_upscaler(file, vae.dtype.name, mesh, run)
        small = enlarged_by(network, small, given.image.shape[1] / small.shape[1])
    made = programs.run(enlarged, _enlarging(later), images=small)
    if given.source is None:
        return later._replace(given=given._replace(image=jnp.clip(made, -1, 1)))
    return later._replace(given=given._replace(source=made))


def _network_of(later: Order) -> str:
    """The file of the network that enlarges; empty where none does."""
    name = later.settings[0].hires_upscaler
    return "" if name in UPSCALERS else name


def _enlarging(later: Order) -> dict[str, Any]:
    """The static arguments of `enlarged`."""
    source, image = later.given.source, later.given.image
    if source is not None:
        return {"size": tuple(source.shape[1:3]), "method": "bilinear"}
    return {"size": tuple(image.shape[1:3]), "method": "lanczos3"}


def as_it_is(shown: Shown) -> Shown:
    """Changes nothing."""
    return shown


def steps(
    programs: Programs,
    order: Order,
    rows_per_call: int = 1,
    on_step: Callable[[Shown], Shown] = as_it_is,
) -> Iterator[Shown]:
    """Draws row by row; to cancel, stop iterating.

    Args:
      programs: of a pipeline.
      order: what to draw.
      rows_per_call: rows of one call of the program.
      on_step: makes of what was drawn that from which the next row goes on.
    """
    conditions, state = programs.encoder_of(order.given)(encode, given=order.given)
    row, loop = 0, programs.of_loop.there
    for run in order.runs:
        state = state._replace(memory={})
        for first in range(0, len(run.row.number), rows_per_call):
            part = rows_between(run, first, first + rows_per_call)
            told = {"steps": programs.placed(part), "conditions": conditions}
            state, finite = loop(denoise, **told, state=state, keys=order.given.keys)
            row += len(part.row.number)
            shown = on_step(Shown(row, order.rows, state, finite))
            state = shown.state
            yield shown
    del loop  # and with it weights that are in files
    if order.later is not None:
        small = state.samples[:, 0]
        if order.later.given.source is None:
            small = programs.of_decoder(decode, latents=small)
        later = continued(programs, order.later, small)

        def counted(shown: Shown, before: int = row) -> Shown:
            return on_step(shown._replace(row=before + shown.row, rows=order.rows))

        yield from steps(programs.later, later, rows_per_call, counted)


def finished(programs: Programs, shown: Shown, finite: list[np.ndarray]) -> Drawing:
    """The drawing after the last of `steps`, with the `finite` flags of all of them."""
    latents = shown.state.samples[:, 0]
    images = programs.of_decoder(decode, latents=latents)
    return Drawing(images, latents, np.concatenate(finite))


def prepare_whole(programs: Programs, order: Order) -> None:
    """Loads or compiles what `whole` runs; only shapes and structure of the order matter.

    A network that enlarges is compiled when it is needed.
    """
    small = programs.prepared(draw, given=order.given, runs=programs.placed(order.runs))
    if order.later is not None:
        by_latents = order.later.given.source is not None
        images = small.latents if by_latents else small.images
        if not order.later.takes_over and not _network_of(order.later):
            programs.run.prepared(enlarged, _enlarging(order.later), images=images)
        prepare_whole(programs.later, order.later)


def prepare_steps(programs: Programs, order: Order) -> None:
    """The same for `steps` and `finished`; compiles `decode` in a second thread. Not on a mesh."""
    assert programs.networks.mesh is None, "parts for a mesh are compiled when they are needed"
    with ThreadPoolExecutor(1) as beside:
        prepared = programs.of_decoder.prepared
        last = beside.submit(prepared, decode, latents=order.given.noise)
        encoder = programs.encoder_of(order.given)
        conditions, state = encoder.prepared(encode, given=order.given)
        for run in order.runs:
            part = rows_between(run, 0, 1)
            told = {"steps": part, "conditions": conditions, "keys": order.given.keys}
            later, _ = programs.of_loop.prepared(denoise, state=state._replace(memory={}), **told)
            if later.memory and len(run.row.number) > 1:
                programs.of_loop.prepared(denoise, state=later, **told)
        images = last.result()
    if order.later is not None:
        by_latents = order.later.given.source is not None
        small = order.given.noise if by_latents else images
        if not order.later.takes_over and not _network_of(order.later):
            programs.run.prepared(enlarged, _enlarging(order.later), images=small)
        prepare_steps(programs.later, order.later)


def rows_between(steps: Step, first: int, end: int) -> Step:
    """Rows first..end-1 of a run."""
    return jax.tree.map(lambda column: column[first:end], steps)
