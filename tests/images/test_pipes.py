"""Pipes in place of files: what somebody writes is read, and nobody is waited for."""

import os
import threading
from pathlib import Path

import numpy as np
import pytest

from jaxsd.canvases import read_pictures
from jaxsd.convert.files.latents import check_name
from jaxsd.images import png_bytes, read_image
from jaxsd.outputs import check_file
from jaxsd.settings import Settings
from jaxsd.text_files import bytes_in, lines_in, read_json


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "a.png")
    return tmp_path / "a.png"


def test_pipes_without_a_writer_are_one_line(pipe: Path) -> None:
    assert (bytes_in(pipe), list(lines_in(pipe))) == (b"", [])
    for read in (read_image, lambda path: read_pictures(Settings("a", image=str(path)))):
        with pytest.raises((OSError, ValueError), match="no picture of a known kind"):
            read(pipe)
    with pytest.raises(ValueError, match=f"{pipe} is not JSON"):
        read_json(pipe)
    with pytest.raises(ValueError, match=f"cannot write to {pipe}: it is a folder or a pipe"):
        check_file(pipe)


def test_what_is_written_to_a_pipe_is_read() -> None:
    """As a shell makes them of `<(...)`: the writer has its end before the program begins."""
    picture = np.arange(60_000, dtype=np.uint8).reshape(100, 200, 3)
    packed = png_bytes(picture)
    for read in (read_image, lambda path: read_pictures(Settings("a", image=path))[0].image):
        reader, writer = os.pipe()
        with os.fdopen(reader), os.fdopen(writer, "wb") as file:
            thread = threading.Timer(0.05, lambda file=file: (file.write(packed), file.close()))
            thread.start()
            np.testing.assert_array_equal(read(f"/dev/fd/{reader}"), picture)
            thread.join()


def test_latents_are_neither_read_from_a_pipe_nor_written_to_one(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.npy")
    with pytest.raises(ValueError, match=r"a\.npy is no file, but a folder or a pipe"):
        check_name(tmp_path / "a.npy")
