"""What a client asked for at once: one or more pictures."""

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from jaxsd.images import jpeg_bytes, png_bytes, webp_bytes
from jaxsd.server.picture import CANCELLED, DONE, DRAWING, FAILED, QUEUED, Picture
from jaxsd.settings import Recipe


class Format(NamedTuple):
    """A kind of picture file."""

    kind: str  # of its contents, for HTTP
    encode: Callable[[np.ndarray, Mapping[str, str] | None], bytes]


FORMATS = {
    "png": Format("image/png", png_bytes),
    "webp": Format("image/webp", webp_bytes),
    "jpeg": Format("image/jpeg", jpeg_bytes),
}
"""Name in OpenAI's API -> how a picture is written."""


def new_id() -> str:
    """An id that nobody can guess."""
    return secrets.token_urlsafe(16)


@dataclass(eq=False)
class Job:
    """Pictures that were asked for together.

    Attributes:
      model: its name.
      recipes: of each picture.
      kept: whether its pictures, and what becomes of it, are stored.
      written: of their files.
      pictures: on their way.
      files: of those that are done.
      loop: of the handlers, which `wake` may be called from other threads for.
    """

    model: str
    recipes: Sequence[Recipe]
    kept: bool
    written: Format
    loop: asyncio.AbstractEventLoop
    id: str = field(default_factory=new_id)
    created: float = field(default_factory=time.time)
    pictures: list[Picture] = field(default_factory=list)
    files: list[bytes | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._event = asyncio.Event()

    @property
    def state(self) -> str:
        """That of its pictures together; it is done when the last file is written."""
        states = {one.state for one in self.pictures}
        if states <= {DONE, FAILED, CANCELLED}:
            if states == {DONE}:
                return DONE if None not in self.files else DRAWING
            return FAILED if FAILED in states else CANCELLED
        return QUEUED if states == {QUEUED} else DRAWING

    @property
    def over(self) -> bool:
        """Whether nothing more will become of it."""
        return self.state in (DONE, FAILED, CANCELLED)

    @property
    def error(self) -> str:
        """What went wrong first; empty for nothing."""
        return next((one.error for one in self.pictures if one.error), "")

    @property
    def progress(self) -> float:
        """Share of its network calls that are done."""
        return sum(one.row for one in self.pictures) / sum(one.rows for one in self.pictures)

    def name(self, number: int) -> str:
        """The id of a picture."""
        return f"{self.id}-{number}"

    def wake(self) -> None:
        """Tells those who wait for a change, from any thread."""
        self.soon(self._wake)

    def soon(self, function: Callable[..., Any], *given: Any) -> None:
        """Has the thread of the handlers call a function, if it has not ended."""
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(function, *given)

    def _wake(self) -> None:
        event, self._event = self._event, asyncio.Event()
        event.set()

    async def change(self, seconds: float) -> None:
        """Waits for the next change, so long at most."""
        try:
            async with asyncio.timeout(seconds):
                await self._event.wait()
        except TimeoutError:
            return
