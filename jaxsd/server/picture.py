"""A picture on its way through the engine."""

import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from jaxsd.canvases import Pictures
from jaxsd.settings import Settings
from jaxsd.types import Array

QUEUED, DRAWING, DONE, FAILED, CANCELLED = (
    "queued",
    "in_progress",
    "completed",
    "failed",
    "cancelled",
)
"""What becomes of a picture; the words are those of OpenAI's jobs."""

PREVIEW_EVERY = 0.25
"""Seconds between two previews of a picture."""


class Batch(Protocol):
    """Images that share calls: `jaxsd.pipeline.slots.Slots`."""

    free: int

    def join(self, order: Any) -> int:
        """Encodes an order of one image, and gives it a place."""

    def leave(self, place: int) -> None:
        """Gives a place back."""

    def tick(self) -> Any:
        """Begins to run a row; see `jaxsd.pipeline.slots.Tick`."""

    def progress(self, place: int) -> tuple[int, int]:
        """Rows that are done of an image, and all of them."""

    def latents(self, place: int) -> Array:
        """The sample of an image."""

    def estimate(self, place: int) -> Array:
        """What it may become, as latents."""

    def decoded(self, latents: Array) -> Array:
        """The image of latents."""

    def decoded_in_float32(self, latents: Array) -> Array:
        """The same, computed in float32."""

    def later(self, place: int) -> Any:
        """The order of a second pass; None if there is none."""


class Artist(Protocol):
    """A model that draws: `jaxsd.server.artist.PipelineArtist`.

    Attributes:
      places: pictures of each call.
      size: bytes of the weights on each device.
      pipes: what has the weights, of each device.
    """

    places: int
    size: int
    pipes: Sequence[Any]

    def order(self, settings: Settings, pictures: Pictures) -> Any:
        """An order of one image, from checked settings; for any thread.

        Raises:
          ValueError: something that does not fit the model.
          OSError: an adapter that is not there.
        """

    def key(self, order: Any) -> Hashable:
        """Orders of one key can share a batch."""

    def batch(self, order: Any, device: int) -> Batch:
        """An empty batch for orders of this kind, on a device."""

    def picture(self, image: Array, order: Any) -> np.ndarray:
        """The picture, uint8 [H, W, 3], of what was decoded.

        Raises:
          FloatingPointError: it is not finite.
        """

    def preview(self, estimate: Array) -> np.ndarray | None:
        """A small picture, uint8 [h, w, 3], of latents that are being drawn; None for none."""


@dataclass(eq=False)
class Picture:
    """One image that somebody asked for. A device's thread alone writes what `state` follows.

    Attributes:
      artist: the model; None when it is over.
      order: of this image alone; None when it is over.
      rows: network calls in all, of two passes if there are two.
      on_change: called with the picture from a device's thread.
      deadline: of `time.monotonic`, after which it fails.
      partials_at: rows after which a picture of the estimate is decoded.
      watched: whether somebody looks at previews.
      unwanted: set by anyone, to cancel it.
      priority: see `jaxsd.server.line.HEAD_START`.
      unfit: whether it failed because nobody may have it.
      image: uint8 [H, W, 3], in the end.
      decoded_in: the dtype of the autoencoder, where it was not the model's.
      expired: whether it failed because of its deadline.
    """

    artist: Artist | None
    order: Any
    rows: int
    on_change: Callable[["Picture"], None] = lambda picture: None
    deadline: float | None = None
    partials_at: frozenset[int] = frozenset()
    watched: bool = False
    unwanted: bool = False
    state: str = QUEUED
    row: int = 0
    error: str = ""
    expired: bool = False
    unfit: bool = False
    image: np.ndarray | None = None
    decoded_in: str = ""
    preview: np.ndarray | None = None
    partials: list[np.ndarray] = field(default_factory=list)
    priority: int = 0
    number: int = 0  # in the order of arrival
    due: float = 0.0  # from when on it waits for its turn
    before: int = 0  # rows of the first pass, in the second one
    previewed: float = 0.0

    @property
    def over(self) -> bool:
        """Whether nothing more will become of it."""
        return self.state in (DONE, FAILED, CANCELLED)

    @property
    def late(self) -> bool:
        """Whether its deadline has passed."""
        return self.deadline is not None and time.monotonic() > self.deadline

    def __post_init__(self) -> None:
        self.key: Hashable = (id(self.artist), self.artist.key(self.order))

    def begin_again(self, order: Any) -> None:
        """Goes on with a second pass, in a batch of its kind."""
        self.order, self.before = order, self.row
        self.__post_init__()

    def become(self, state: str, error: str = "") -> None:
        """Changes its state, and tells. One that is over holds no weights any more."""
        self.state, self.error = state, error
        if self.over:
            self.artist = self.order = None
        self.on_change(self)
