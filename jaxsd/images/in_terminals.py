"""Pictures as the bytes that make a terminal show them, and which terminals can."""

import base64
import io
from collections.abc import Callable, Mapping

import numpy as np
from PIL import Image

from jaxsd.images.files import png_bytes

ROWS = 16
"""Lines of a terminal that a picture takes, at most."""
SIXEL_HEIGHT = 6 * 26
"""Pixels: 16 lines of 10 or more. Sixels have pixels, and no lines."""
PIECE = 4096
"""Bytes that kitty takes at a time."""


def kitty(image: np.ndarray) -> bytes:
    """A picture uint8 [H, W, 3] in kitty's graphics protocol, in the place of the one before.

    https://sw.kovidgoyal.net/kitty/graphics-protocol: `a=T` sends and shows, `f=100` a PNG, `i` and
    `p` name it, `C=1` leaves the cursor, `q=2` asks for no answer, `m=1` says that more follows.
    """
    packed = base64.b64encode(png_bytes(image))
    pieces = [packed[first : first + PIECE] for first in range(0, len(packed), PIECE)]
    told = [b"a=T,f=100,i=1,p=1,C=1,q=2,r=%d," % ROWS] + [b""] * (len(pieces) - 1)
    return b"".join(
        b"\x1b_G%sm=%d;%s\x1b\\" % (keys, number < len(pieces) - 1, piece)
        for number, (keys, piece) in enumerate(zip(told, pieces, strict=True))
    )


def iterm2(image: np.ndarray) -> bytes:
    """A picture uint8 [H, W, 3] in iTerm2's protocol: https://iterm2.com/documentation-images."""
    packed = png_bytes(image)
    told = b"inline=1;preserveAspectRatio=1;height=%d;size=%d" % (ROWS, len(packed))
    return b"\x1b]1337;File=" + told + b":" + base64.b64encode(packed) + b"\a"


def sixel(image: np.ndarray) -> bytes:
    """A picture uint8 [H, W, 3] in 64 colours as sixels of DEC's VT340.

    `#n;2;r;g;b` is colour n in hundredths; a letter is six pixels of a column, from its lowest bit
    down, above 63; `!n` repeats one; `$` goes back to the left, `-` to the next six rows.
    """
    scale = SIXEL_HEIGHT / len(image)
    size = max(1, round(image.shape[1] * scale)), SIXEL_HEIGHT
    small = Image.fromarray(image).resize(size).quantize(64)
    pixels = np.asarray(small)
    palette = np.reshape(small.getpalette(), (-1, 3)) * 100 // 255
    out = io.BytesIO()
    out.write(b'\x1bP0;1q"1;1;%d;%d' % size)
    for n, colour in enumerate(palette):
        out.write(b"#%d;2;%d;%d;%d" % (n, *colour))
    for band in pixels.reshape(-1, 6, size[0]):
        for n in np.unique(band):
            columns = 63 + np.tensordot(1 << np.arange(6), band == n, 1)
            out.write(b"#%d%s$" % (n, _repeated(columns)))
        out.write(b"-")
    out.write(b"\x1b\\")
    return out.getvalue()


def _repeated(letters: np.ndarray) -> bytes:
    ends = np.flatnonzero(np.diff(letters, append=-1)) + 1
    counts = np.diff(ends, prepend=0)
    runs = zip(counts.tolist(), letters[ends - 1].tolist(), strict=True)
    return b"".join(b"!%d%c" % (n, letter) if n > 3 else bytes([letter]) * n for n, letter in runs)


_PROGRAMS = {
    "iTerm.app": iterm2,
    "WezTerm": iterm2,
    "mintty": iterm2,
    "ghostty": kitty,
}
"""What TERM_PROGRAM says."""
_TERMINALS = {
    "xterm-kitty": kitty,
    "xterm-ghostty": kitty,
    "foot": sixel,
    "foot-extra": sixel,
    "mlterm": sixel,
    "yaft-256color": sixel,
}
"""What TERM says."""


def protocol_of(environment: Mapping[str, str]) -> Callable[[np.ndarray], bytes] | None:
    """How the terminal of this environment shows pictures; None where it does not say that it can.

    tmux and screen pass the environment of the terminal around them on, and not its pictures.
    """
    if {"TMUX", "STY"} & environment.keys():
        return None
    term = environment.get("TERM", "")
    if term.startswith(("tmux", "screen")):
        return None
    return _TERMINALS.get(term) or _PROGRAMS.get(environment.get("TERM_PROGRAM", ""))
