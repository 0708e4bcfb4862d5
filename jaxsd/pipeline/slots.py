"""A batch whose images come and go: each is at a row of its own table.

A tick runs one row of every place. What a picture is made of depends on its own place alone, so it
is the same to the bit whatever stands beside it, in a batch of as many places.
"""

from collections.abc import Callable, Hashable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxsd.pipeline.drawing import Programs, continued, rows_between
from jaxsd.pipeline.order import Order
from jaxsd.sampling import State, Step
from jaxsd.sampling.features import decided
from jaxsd.sampling.program import decode, denoise, encode
from jaxsd.types import Array


class Tick(NamedTuple):
    """What one call of the network did."""

    places: tuple[int, ...]  # that advanced by a row
    finite: Array  # [1, B] bool, on the device


class _Place(NamedTuple):
    """The rows of an image, one after the other: leaves [1, 1, ...], on the host."""

    order: Order
    steps: tuple[Step, ...]
    begins: tuple[bool, ...]  # whether a run of rows begins

    @property
    def rows(self) -> int:
        return len(self.steps)


class Slots:
    """Places of images that share a program: those of one `Bucket`, whatever their rows."""

    def __init__(self, programs: Programs, size: int, device: jax.Device | None = None) -> None:
        """Nothing is compiled yet.

        Args:
          programs: for orders of the bucket.
          size: number of places, which is that of the images of each call.
          device: that draws them; None for JAX's default device.
        """
        if device is not None:
            programs = programs._replace(params=jax.device_put(programs.params, device))
        self.programs, self.size, self.device = programs, size, device
        self._places: dict[int, _Place] = {}
        self._row, self._waits = [0] * size, [0] * size
        self._batch: Any = None  # (conditions, state without memory, keys), leaves [B, ...]
        self._memory: dict[Hashable, Any] = {}  # of each kind of row
        self._ready: dict[Hashable, Callable[..., Any]] = {}  # programs, by what decides them

    @property
    def free(self) -> int:
        """Places that nobody has."""
        return self.size - len(self._places)

    def join(self, order: Order) -> int:
        """Encodes an order of one image, and gives it a place."""
        if self.device is not None:
            order = order._replace(given=jax.device_put(order.given, self.device))
        conditions, state = self.programs.of_encoder(encode, given=order.given)
        own = conditions, state._replace(memory={}), order.given.keys
        if self._batch is None:
            self._batch = _repeated(own, self.size)
        place = next(i for i in range(self.size) if i not in self._places)
        self._batch = _with_image(self._batch, own, place)
        parts = [
            (rows_between(run, i, i + 1), i == 0)
            for run in order.runs
            for i in range(len(run.row.number))
        ]
        steps, begins = zip(*parts, strict=True)
        self._places[place] = _Place(order, steps, begins)
        self._row[place] = self._waits[place] = 0
        return place

    def leave(self, place: int) -> None:
        """Gives a place back."""
        del self._places[place]

    def tick(self) -> Tick:
        """Begins to run a row of all places whose rows are of one kind, and does not wait.

        Kinds differ where guidance begins or ends, and where deep features are used again. The
        image that has waited for most ticks decides.
        """
        steps = {i: one.steps[self._row[i]] for i, one in self._places.items()}
        first = max(self._places, key=lambda i: (self._waits[i], -i))
        kind = _kind(steps[first])
        active = [i for i in sorted(steps) if _kind(steps[i]) == kind]
        mask = np.isin(np.arange(self.size), active)
        rows = _side_by_side([steps[i if mask[i] else first] for i in range(self.size)])
        conditions, state, keys = self._batch
        memory = self._begun(kind[1:], mask)
        told = {"steps": rows, "conditions": conditions, "keys": keys}
        told |= {"state": state._replace(memory=memory)}
        made, finite = self._denoise((*kind[1:], bool(memory)), told)
        self._keep(kind[1:], mask, state, made)
        for i in steps:
            self._row[i] += int(mask[i])
            self._waits[i] = 0 if mask[i] else self._waits[i] + 1
        return Tick(tuple(active), finite)

    def _denoise(self, decides: Hashable, told: dict[str, Any]) -> tuple[State, Array]:
        if decides not in self._ready:
            self._ready[decides] = self.programs.of_loop.ready(denoise, **told)
        return self._ready[decides](**told)

    def _begun(self, kind: Hashable, mask: np.ndarray) -> Any:
        """What features remember, with zeros for images whose run of rows begins."""
        memory = self._memory.get(kind, {})
        begins = [mask[i] and self._places[i].begins[self._row[i]] for i in range(self.size)]
        if not memory or not any(begins):
            return memory
        return _chosen(np.array(begins), jax.tree.map(jnp.zeros_like, memory), memory)

    def _keep(self, kind: Hashable, mask: np.ndarray, before: State, made: State) -> None:
        memory, state = made.memory, made._replace(memory={})
        if not all(mask[i] for i in self._places):
            state = _chosen(mask, state, before)
            if old := self._memory.get(kind):
                memory = _chosen(mask, memory, old)
        if memory:
            self._memory[kind] = memory
        self._batch = self._batch[0], state, self._batch[2]

    def progress(self, place: int) -> tuple[int, int]:
        """Rows that are done of an image, and all of them; those of a second pass do not count."""
        return self._row[place], self._places[place].rows

    def latents(self, place: int) -> Array:
        """The sample of an image, [1, h, w, c] float32."""
        return self._batch[1].samples[place : place + 1, 0]

    def estimate(self, place: int) -> Array:
        """The newest estimate of its latents, [1, h, w, c] float32, for previews."""
        return self._batch[1].x0[place : place + 1]

    def decoded(self, latents: Array) -> Array:
        """The image of latents [1, h, w, c], [1, H, W, 3] float32."""
        return self.programs.of_decoder(decode, latents=latents)

    def decoded_in_float32(self, latents: Array) -> Array:
        """The same by an autoencoder in float32, where its output was not finite."""
        vae = self.programs.networks.vae.clone(dtype=jnp.dtype(jnp.float32))
        networks = self.programs.networks._replace(vae=vae)
        return self.programs._replace(networks=networks).of_decoder(decode, latents=latents)

    def later(self, place: int) -> Order | None:
        """The second pass of an image whose rows are done; None if there is none."""
        later = self._places[place].order.later
        if later is None:
            return None
        small = self.latents(place)
        if later.given.source is None:
            small = self.decoded(small)
        return continued(self.programs, later, small)


def _kind(step: Step) -> tuple[Hashable, ...]:
    """What must be the same for rows that share a call; all but the first decides the program."""
    columns = tuple((name, column.shape[2:]) for name, column in sorted(step.columns.items()))
    return decided(step), columns


def _side_by_side(steps: list[Step]) -> Step:
    return jax.tree.map(lambda *each: np.concatenate(each, axis=1), *steps)


@partial(jax.jit, static_argnames="size")
def _repeated(tree: Any, size: int) -> Any:
    """Each leaf [n, ...] of one image, for so many images [size * n, ...]."""
    return jax.tree.map(lambda a: jnp.concatenate([a] * size), tree)


@jax.jit
def _with_image(tree: Any, one: Any, place: int) -> Any:
    """A batch with another image in a place. Leaves have n rows for each image."""

    def put(batch: Array, own: Array) -> Array:
        return jax.lax.dynamic_update_slice_in_dim(batch, own, place * len(own), axis=0)

    return jax.tree.map(put, tree, one)


@jax.jit
def _chosen(mask: Array, there: Any, elsewhere: Any) -> Any:
    """Images of the first tree where the mask [B] is true, else of the second."""

    def choose(a: Array, b: Array) -> Array:
        rows = jnp.repeat(mask, len(a) // len(mask))
        return jnp.where(rows.reshape(-1, *[1] * (a.ndim - 1)), a, b)

    return jax.tree.map(choose, there, elsewhere)
