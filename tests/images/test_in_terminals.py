"""Pictures for terminals, read again as each protocol's description says."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from jaxsd.images.in_terminals import SIXEL_HEIGHT, iterm2, kitty, protocol_of, sixel


def picture() -> np.ndarray:
    """Larger than one piece of kitty's, in 27 colours that are whole hundredths."""
    random = np.random.default_rng(0)
    pixels = random.choice(np.uint8([0, 102, 255]), (13, 20, 3))
    return pixels.repeat(12, 0).repeat(7, 1)


def png(packed: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(packed, validate=True))))


def test_kitty_gets_a_png_in_pieces() -> None:
    image = np.random.default_rng(0).integers(0, 256, (60, 50, 3), np.uint8)
    pieces = re.findall(rb"\x1b_G([^;]*);([^\x1b]*)\x1b\\", kitty(image))
    assert len(pieces) > 2
    assert all(len(piece) <= 4096 and len(piece) % 4 == 0 for _, piece in pieces)
    more = [dict(key.split(b"=") for key in keys.split(b","))[b"m"] for keys, _ in pieces]
    assert more == [b"1"] * (len(pieces) - 1) + [b"0"]
    assert pieces[0][0].startswith(b"a=T,f=100,")
    np.testing.assert_array_equal(png(b"".join(piece for _, piece in pieces)), image)


def test_iterm2_gets_a_png_with_its_size() -> None:
    told, packed = re.fullmatch(rb"\x1b]1337;File=([^:]*):(.*)\x07", iterm2(picture())).groups()
    keys = dict(key.split(b"=") for key in told.split(b";"))
    assert keys[b"inline"] == b"1"
    assert int(keys[b"size"]) == len(base64.b64decode(packed))
    np.testing.assert_array_equal(png(packed), picture())


def drawn_sixels(packed: bytes) -> np.ndarray:
    """What a VT340 draws: pixel by pixel."""
    told = re.fullmatch(rb'\x1bP[0-9;]*q"1;1;(\d+);(\d+)(.*)\x1b\\', packed, re.DOTALL)
    width, height = int(told[1]), int(told[2])
    screen = np.full((height, width, 3), -1)
    colours, colour, x, y = {}, None, 0, 0
    for part in re.findall(rb"#\d+(?:;2;\d+;\d+;\d+)?|!\d+[?-~]|[?-~]|\$|-", told[3]):
        if part.startswith(b"#"):
            number, *rgb = part[1:].split(b";")
            if rgb:
                colours[number] = [int(one) for one in rgb[1:]]
            colour = colours[number]
        elif part in (b"$", b"-"):
            x, y = 0, y + 6 * (part == b"-")
        else:
            count = int(part[1:-1] or 1) if part.startswith(b"!") else 1
            bits = part[-1] - 63
            for row in (row for row in range(6) if bits >> row & 1):
                screen[y + row, x : x + count] = colour
            x += count
    return screen


def test_sixels_are_the_picture_in_hundredths() -> None:
    image = picture()
    assert len(image) == SIXEL_HEIGHT
    np.testing.assert_array_equal(drawn_sixels(sixel(image)), image.astype(int) * 100 // 255)


@pytest.mark.parametrize(
    ("environment", "protocol"),
    [
        ({"TERM": "xterm-kitty"}, kitty),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app"}, iterm2),
        ({"TERM": "foot"}, sixel),
        ({"TERM": "xterm-256color"}, None),
        ({}, None),
        ({"TERM": "xterm-kitty", "TMUX": "/tmp/tmux"}, None),
        ({"TERM": "screen-256color", "TERM_PROGRAM": "iTerm.app"}, None),
    ],
)
def test_terminals_are_known_by_what_they_say(environment: dict, protocol: object) -> None:
    assert protocol_of(environment) is protocol
