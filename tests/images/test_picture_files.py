"""Picture files: pixels survive, half a file is never seen, damage has a name."""

import errno
import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jaxsd.images import read_image, write_picture


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (16, 24, 3), np.uint8)


def test_pixels_survive(tmp_path, image):
    write_picture(tmp_path / "a.png", image)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), image)


def test_a_failed_write_leaves_what_was_there(tmp_path, image, monkeypatch):
    write_picture(tmp_path / "a.png", image)

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "disk full")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match=r"disk full: '.*a\.png'"):
        write_picture(tmp_path / "a.png", 255 - image)
    assert os.listdir(tmp_path) == ["a.png"]
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), image)


def test_grey_and_transparent_files_are_read_as_colour(tmp_path):
    Image.new("L", (5, 4), 9).save(tmp_path / "grey.png")
    assert read_image(tmp_path / "grey.png").tolist() == [[[9, 9, 9]] * 5] * 4


@pytest.mark.parametrize("kind", ["PNG", "PPM", "TIFF"])
def test_sixteen_bits_are_scaled_and_not_cut_off(tmp_path, kind: str) -> None:
    greys = np.array([[0, 51, 102], [153, 204, 255]], np.uint8)
    Image.fromarray(greys.astype(np.uint16) * 257).save(tmp_path / "deep", kind)
    np.testing.assert_array_equal(read_image(tmp_path / "deep"), np.dstack([greys] * 3))


@pytest.mark.parametrize(
    ("kind", "place", "new"),
    [
        ("BMP", 18, b"\xff\xff\xff\x00" * 2),  # sides: a DecompressionBombError
        ("PNG", 33, b"\0\0\0\1"),  # how long the pixels are: a SyntaxError at their end
    ],
)
def test_damage_is_an_os_error_whatever_pillow_calls_it(kind: str, place: int, new: bytes) -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(buffer, kind)
    packed = bytearray(buffer.getvalue())
    packed[place : place + len(new)] = new
    with pytest.raises(OSError, match="no picture: "):
        read_image(io.BytesIO(bytes(packed)))
