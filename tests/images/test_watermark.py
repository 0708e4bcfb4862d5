"""The watermark in pixels: what reads it, what it withstands, and that nothing else is found."""

import io
from functools import cache

import numpy as np
import pytest
from PIL import Image

from jaxsd.canvases import Canvas, picture_of
from jaxsd.images import png_bytes
from jaxsd.images.watermark import LONGEST, check_room, marked, message_in, payload
from jaxsd.metadata import about_picture
from jaxsd.settings import Settings

TEXT = "jaxsd made this"


@cache
def photo(seed: int, side: int = 512) -> np.ndarray:
    """Colours whose spectrum falls as 1/f, as that of photographs does, uint8 [side, side, 3]."""
    rng = np.random.default_rng(seed)
    along = np.fft.fftfreq(side) * side
    distance = np.hypot(along[:, None], along)[..., None]
    waves = np.fft.fft2(rng.standard_normal((side, side, 3)), axes=(0, 1)) / np.maximum(1, distance)
    grey, *colours = np.moveaxis(np.fft.ifft2(waves, axes=(0, 1)).real, -1, 0)
    mixed = np.stack([grey + 0.3 * one for one in (colours[0], colours[1], -colours[0])], -1)
    return np.clip(127 + 55 * mixed / mixed.std(), 0, 255).astype(np.uint8)


def saved(image: np.ndarray, kind: str, quality: int) -> np.ndarray:
    """A picture after a lossy file with halved colours, as most programs write it."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind, quality=quality)
    return np.asarray(Image.open(file).convert("RGB"))


def resized(image: np.ndarray, side: int) -> np.ndarray:
    return np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC))


FLAT = [np.full((512, 512, 3), colour, np.uint8) for colour in (0, 255, 128, (255, 0, 0))]


@pytest.mark.parametrize("text", ["a", TEXT, "\u732b\u732b", "x" * LONGEST])
def test_a_text_is_read_back_from_any_picture(text):
    for image in (*FLAT, photo(0)):
        image = image[:256, :256]
        assert message_in(image) is None
        assert message_in(marked(image, payload(text))) == text


def test_a_loop_over_blocks_reads_the_bits():
    """The decoder of invisible-watermark, as its formula is."""
    packed = payload("cat")
    image = marked(photo(0)[:128, :136], packed).astype(float)
    blue = 0.492 * (image[..., 2] - image @ [0.299, 0.587, 0.114]) + 128
    votes = np.zeros((2, 8 * len(packed)))
    for i, (row, column) in enumerate(np.ndindex(16, 17)):
        block = blue[8 * row : 8 * row + 8, 8 * column : 8 * column + 8]
        halved = (block[::2, ::2] + block[::2, 1::2] + block[1::2, ::2] + block[1::2, 1::2]) / 2
        votes[int(halved.ravel()[1:].max() % 36 > 18), i % votes.shape[1]] += 1
    assert np.packbits(votes[1] > votes[0]).tobytes() == packed


def test_it_withstands_jpeg_but_no_other_place():
    image = marked(photo(0), payload(TEXT))
    assert message_in(saved(image, "JPEG", 90)) == TEXT
    assert message_in(image[:256]) == TEXT
    assert message_in(image[:, 8:]) is None


@pytest.mark.release
def test_what_it_withstands():
    """These are the figures of docs/provenance.md."""
    changes = {
        "nothing": lambda image: image,
        "JPEG 90": lambda image: saved(image, "JPEG", 90),
        "JPEG 75": lambda image: saved(image, "JPEG", 75),
        "JPEG 50": lambda image: saved(image, "JPEG", 50),
        "WebP 80": lambda image: saved(image, "WEBP", 80),
        "half the size and back": lambda image: resized(resized(image, 256), 512),
        "seven eighths of the size": lambda image: resized(image, 448),
        "8 pixels cut off at the left": lambda image: image[:, 8:],
        "the lower half cut off": lambda image: image[:256],
        "10 brighter": lambda image: np.clip(image.astype(int) + 10, 0, 255).astype(np.uint8),
    }
    found = {name: [0, 0] for name in changes}
    for seed in range(8):
        for i, text in enumerate((TEXT, "jaxsd")):
            image = marked(photo(seed), payload(text))
            for name, change in changes.items():
                found[name][i] += message_in(change(image)) == text
    assert found == {
        "nothing": [8, 8],
        "JPEG 90": [8, 8],
        "JPEG 75": [5, 8],
        "JPEG 50": [0, 0],
        "WebP 80": [8, 8],
        "half the size and back": [8, 8],
        "seven eighths of the size": [0, 0],
        "8 pixels cut off at the left": [0, 0],
        "the lower half cut off": [8, 8],
        "10 brighter": [8, 8],
    }


def test_luminance_stays_and_colours_change_little():
    for image in map(photo, range(2)):
        made = marked(image, payload(TEXT))
        inside = (made.min(-1) > 0) & (made.max(-1) < 255)
        change = (made.astype(float) - image)[inside]
        assert abs(change @ [0.299, 0.587, 0.114]).max() < 1
        assert np.sqrt((change[..., 2] ** 2).mean()) < 13


def test_edges_that_fill_no_block_stay():
    image = photo(0)[:100, :133]
    made = marked(image, payload("a"))
    np.testing.assert_array_equal(made[96:], image[96:])
    np.testing.assert_array_equal(made[:, 128:], image[:, 128:])


def test_drawings_have_it_and_info_tells_it(tmp_path):
    image, nothing = photo(0), Canvas(None, None, ())
    assert picture_of(image, nothing, Settings()) is image
    made = picture_of(image, nothing, Settings(watermark=TEXT))
    (tmp_path / "a.png").write_bytes(png_bytes(made))
    assert dict(about_picture(tmp_path / "a.png"))["hidden text"] == TEXT
    (tmp_path / "b.png").write_bytes(png_bytes(image))
    assert "hidden text" not in dict(about_picture(tmp_path / "b.png"))


def test_a_text_without_room_is_refused():
    check_room("12345", 128, 128)
    with pytest.raises(
        ValueError,
        match="watermark '1234567' has 7 bytes, and a picture of 128x128 has room for 6;",
    ):
        check_room("1234567", 128, 128)
    with pytest.raises(ValueError, match="has 33 bytes; allowed are up to 32"):
        check_room("\u732b" * 11, 512, 512)
