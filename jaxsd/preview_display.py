"""Where previews are seen: in a terminal that shows pictures, else in a file beside the output."""

import os
import sys
import time
from pathlib import Path

import numpy as np

from jaxsd.images import contact_sheet, fitted, write_picture
from jaxsd.images.in_terminals import ROWS, protocol_of

LARGEST = 256
"""Pixels of the longer side of a preview."""
PAUSE = 0.3
"""Seconds from one preview to the next, at least."""


class PreviewDisplay:
    """Shows previews, each in the place of the one before.

    Attributes:
      path: the file, which `close` removes; None in a terminal that shows pictures.
    """

    def __init__(self, output: Path) -> None:
        self._show = protocol_of(os.environ) if sys.stderr.isatty() else None
        self.path = None if self._show else output.with_name(f"{output.stem}_preview.png")
        self._shown_at: float | None = None

    def due(self) -> bool:
        """Whether the last one was long enough ago for the next."""
        return self._shown_at is None or time.monotonic() - self._shown_at >= PAUSE

    def show(self, images: np.ndarray, size: tuple[int, int]) -> None:
        """Shows pictures uint8 [B, h, w, 3] of drawings of a size (height, width).

        Raises:
          OSError: the file can not be written.
        """
        scale = min(1.0, LARGEST / max(size))
        height, width = (max(1, round(side * scale)) for side in size)
        sheet = np.stack([fitted(image, height, width) for image in images])
        picture = contact_sheet(sheet) if len(sheet) > 1 else sheet[0]
        if self._show is None:
            write_picture(self.path, picture)
        else:
            self._in_terminal(self._show(picture))
        self._shown_at = time.monotonic()

    def _in_terminal(self, packed: bytes) -> None:
        """Above the cursor's line. ESC 7 keeps the cursor's place, and ESC 8 goes back to it."""
        room = "\r\x1b[K" + "\n" * ROWS if self._shown_at is None else ""
        sys.stderr.write(f"{room}\x1b7\x1b[{ROWS}A\r{packed.decode()}\x1b8")
        sys.stderr.flush()

    def close(self) -> None:
        """Removes the file, if one was written: the pictures are there."""
        if self.path is not None and self._shown_at is not None:
            self.path.unlink(missing_ok=True)
