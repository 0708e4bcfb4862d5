"""Reading pictures: metadata never decides about pixels, and every reader sees the same picture."""

import contextlib
import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageOps
from PIL.PngImagePlugin import PngInfo

from jaxsd.images import image_size, is_picture, picture_texts, read_image, read_mask
from jaxsd.images.png import MAX_TEXT, SIGNATURE

PIXELS = np.random.default_rng(0).integers(0, 256, (16, 24, 3), np.uint8)


def packed(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png(*chunks: tuple[bytes, bytes], last: tuple[bytes, bytes] | None = None) -> bytes:
    """`PIXELS` as a PNG with chunks before the pixels, and one behind them."""
    whole = packed(Image.fromarray(PIXELS))
    behind = [last] if last else []
    return whole[:33] + _joined(chunks) + whole[33:-12] + _joined(behind) + whole[-12:]


def _joined(chunks: Any) -> bytes:
    return b"".join(
        struct.pack(">I", len(content)) + name + content + zlib.crc32(name + content).to_bytes(4)
        for name, content in chunks
    )


TEXT = b"x" * 2_000_000
PROFILE = (b"iCCP", b"p\0\0" + zlib.compress(bytes(3_000_000)))
BOMB = (b"zTXt", b"bomb\0\0" + zlib.compress(bytes(2 * MAX_TEXT)))


@pytest.mark.parametrize(
    "chunk",
    [
        (b"zTXt", b"a\0\0" + zlib.compress(TEXT)),
        (b"iTXt", b"a\0\1\0\0\0" + zlib.compress(TEXT)),
        (b"tEXt", b"a\0" + TEXT),
        (b"zTXt", b"no end"),
        (b"iTXt", b"a"),
        (b"tEXt", b""),
        PROFILE,
        BOMB,
        (b"iCCP", b"p\0\7damaged"),
        (b"eXIf", b"damaged"),
        (b"pHYs", b"1"),
        (b"acTL", bytes(8)),
    ],
)
def test_metadata_do_not_decide_about_pixels(chunk: tuple[bytes, bytes]) -> None:
    for whole in (png(chunk), png(last=chunk)):
        np.testing.assert_array_equal(read_image(whole), PIXELS)
        assert image_size(whole) == (16, 24)
        texts = picture_texts(whole)
        assert texts.get("a", "x" * 2_000_000) in ("x" * 2_000_000, "")
        assert "bomb" not in texts
    broken = png(chunk).replace(chunk[0], bytes([chunk[0][0]]) + b"xyz")  # its sum is wrong now
    np.testing.assert_array_equal(read_image(broken), PIXELS)


def test_many_large_texts_of_a_png_are_bounded() -> None:
    whole = png(*[(b"zTXt", b"%d\0\0" % i + zlib.compress(bytes(MAX_TEXT // 2))) for i in range(4)])
    assert len(picture_texts(whole)) == 2
    np.testing.assert_array_equal(read_image(whole), PIXELS)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG", "WEBP"])
@pytest.mark.parametrize("orientation", range(10))
def test_every_reader_turns_a_picture_alike(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    options = {"lossless": True} if kind == "WEBP" else {}
    whole = packed(Image.fromarray(PIXELS), kind, exif=exif, **options)
    image = read_image(whole)
    assert image_size(whole) == image.shape[:2] == read_mask(whole).shape
    if kind != "JPEG":
        plain = Image.open(io.BytesIO(whole))
        want = plain if kind == "TIFF" else ImageOps.exif_transpose(plain)  # Pillow turns TIFFs
        np.testing.assert_array_equal(image, np.asarray(want.convert("RGB")))


def test_an_orientation_behind_the_pixels_counts() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    content = exif.tobytes().removeprefix(b"Exif\0\0")
    for whole in (png((b"eXIf", content)), png(last=(b"eXIf", content))):
        assert image_size(whole) == read_image(whole).shape[:2] == (24, 16)
    xmp = b'XML:com.adobe.xmp\0\0\0\0\0<x tiff:Orientation="8"/>'
    assert image_size(png((b"iTXt", xmp))) == read_image(png((b"iTXt", xmp))).shape[:2] == (24, 16)


GREYS = np.array([[0, 51, 102], [153, 204, 255]], np.uint8)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("TIFF", GREYS.astype(np.float32) / 255),
        ("TIFF", GREYS.astype(np.uint16) * 257),
        ("TIFF", GREYS.astype(">u2") * 257),
        ("TIFF", GREYS.astype(np.int32) * 257),
        ("PNG", GREYS.astype(np.uint16) * 257),
        ("PPM", GREYS.astype(np.uint16) * 257),
    ],
)
def test_wide_values_are_scaled_in_pictures_and_masks(kind: str, values: np.ndarray) -> None:
    whole = packed(Image.fromarray(values), kind)
    np.testing.assert_array_equal(read_mask(whole), GREYS)
    np.testing.assert_array_equal(read_image(whole), np.dstack([GREYS] * 3))


def tiff(values: bytes, bits: int, sample_format: int = 1, photometric: int = 1) -> bytes:
    """A grey TIFF of 2 x 2 pixels, which Pillow can not write."""
    short = [(256, 2), (257, 2), (258, bits), (259, 1), (262, photometric), (277, 1), (278, 2)]
    tags = [*((tag, 3, value) for tag, value in short), (273, 4, 8), (279, 4, len(values))]
    tags = sorted([*tags, (339, 3, sample_format)])
    table = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    head = b"II*\0" + struct.pack("<I", 8 + len(values))
    return head + values + struct.pack("<H", len(tags)) + table + bytes(4)


@pytest.mark.parametrize(
    ("whole", "want"),
    [
        (tiff(bytes.fromhex("000400fff800"), 12), [0, 64, 255, 128]),
        (tiff(np.array([0, 16384, 32767, 1], "<i2").tobytes(), 16, 2), [0, 128, 255, 0]),
        (tiff(np.array([0, 257, 65535, 514], "<u2").tobytes(), 16, 1, 0), [255, 254, 0, 253]),
        (tiff(np.array([0, 0.25, 1, 1], "<f4").tobytes(), 32, 3, 0), [255, 191, 0, 0]),
        (tiff(np.array([0, 257, 65535, 514], "<u4").tobytes(), 32), [0, 1, 255, 2]),
    ],
)
def test_tags_of_tiff_say_what_black_and_white_are(whole: bytes, want: list[int]) -> None:
    assert read_mask(whole).ravel().tolist() == want
    assert read_image(whole)[..., 1].ravel().tolist() == want


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr", "LAB"])
def test_every_mode_is_read(mode: str) -> None:
    image = Image.fromarray(PIXELS)
    if mode == "LAB":
        image = Image.merge("LAB", image.split())
    whole = packed(image.convert(mode), "TIFF" if mode in ("CMYK", "YCbCr", "LAB") else "PNG")
    assert (read_image(whole).shape, read_mask(whole).shape) == ((16, 24, 3), (16, 24))


def test_a_transparent_value_of_16_bits() -> None:
    whole = packed(Image.fromarray(GREYS.astype(np.uint16) * 257), transparency=0)
    assert read_mask(whole).tolist() == [[255, 0, 0], [0, 0, 0]]
    assert read_image(whole)[0, :2, 0].tolist() == [255, 51]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (GREYS.astype(np.float32), "its values are from 0.0 to 255.0, allowed are 0 to 1; save"),
        (np.full((2, 2), np.nan, np.float32), "its values are from nan"),
        (GREYS.astype(np.int32) * 999, "from 0 to 254745, allowed are 0 to 65535; save"),
        (GREYS.astype(np.int32), "in 32 bits, and white may be 255 or 65535; save it as a PNG"),
        (GREYS.astype(np.int32) - 9, "from -9 to 246, allowed are 0 to 65535"),
    ],
)
def test_values_of_unknown_white_are_refused(values: np.ndarray, message: str) -> None:
    for read in (read_image, read_mask):
        with pytest.raises(OSError, match=message):
            read(packed(Image.fromarray(values), "TIFF"))


@pytest.mark.parametrize("whole", [b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", b"<svg/>"])
def test_kinds_that_start_other_programs_are_not_read(whole: bytes) -> None:
    with pytest.raises(OSError, match=r"^no picture of a known kind: PNG, JPEG, WEBP, GIF"):
        read_image(whole)


def test_huge_pictures_are_refused_by_their_header() -> None:
    header = struct.pack(">IIBBBBB", 13300, 13300, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes(13300 // 8 + 2) * 13300)
    whole = SIGNATURE + _joined([(b"IHDR", header), (b"IDAT", rows), (b"IEND", b"")])
    for read in (read_image, read_mask, image_size, picture_texts):
        with pytest.raises(OSError, match=r"^no picture: 13300 x 13300 pixels, more than 67,108,8"):
            read(whole)


@pytest.mark.parametrize("order", ["utf-16-be", "utf-16-le", "utf-16"])
def test_comments_in_any_byte_order(order: str) -> None:
    exif = Image.Exif()
    comment = b"UNICODE\0" + "a cat \u732b".encode(order)
    exif[ExifTags.Base.Artist] = "me"  # Pillow writes no EXIF into a PNG that has only an inner IFD
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = comment
    for kind in ("JPEG", "WEBP", "PNG"):
        whole = packed(Image.fromarray(PIXELS), kind, exif=exif)
        assert picture_texts(whole) == {"parameters": "a cat \u732b"}


def test_texts_of_other_places() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Model], exif[ExifTags.Base.Make] = 'prompt:{"1": 2}', 'Workflow: {"a": 3}'
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = b"ASCII\0\0\0caf\xc3\xa9"
    assert picture_texts(packed(Image.fromarray(PIXELS), "JPEG", exif=exif)) == {
        "prompt": '{"1": 2}',
        "workflow": '{"a": 3}',
        "parameters": "caf\u00e9",
    }
    assert picture_texts(packed(Image.fromarray(PIXELS), "GIF", comment=b"a cat")) == {
        "parameters": "a cat"
    }
    info = PngInfo()
    info.add(b"tEXt", b"utf\0caf\xc3\xa9")
    info.add(b"tEXt", b"latin\0caf\xe9")
    texts = picture_texts(packed(Image.fromarray(PIXELS), pnginfo=info))
    assert texts == {"utf": "caf\u00e9", "latin": "caf\u00e9"}
    assert picture_texts(png(last=(b"comf", b"prompt\0{}"))) == {"prompt": "{}"}
    assert picture_texts(png() + _joined([(b"tEXt", b"a\0b")])) == {}  # behind the end


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF"])
def test_pictures_are_known_by_their_first_bytes(tmp_path: Any, kind: str) -> None:
    (tmp_path / "a").write_bytes(packed(Image.fromarray(PIXELS), kind))
    assert is_picture(tmp_path / "a")
    (tmp_path / "b").write_bytes(b"BM\0\0\0\0\0\0{" + b" " * 0x4D42)  # a header of safetensors
    (tmp_path / "c").write_bytes(b"\0\0\0\x20ftypavif")
    assert is_picture(tmp_path / "c")
    assert not is_picture(tmp_path / "b")
    assert not is_picture(tmp_path)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP"])
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning")
def test_damage_of_any_byte_is_an_os_error(kind: str) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    whole = bytearray(
        packed(Image.fromarray(PIXELS), kind, **{"exif": exif} if kind != "BMP" else {})
    )
    rng = np.random.default_rng(1)
    for _ in range(200):
        broken = bytearray(whole)
        for place in rng.integers(0, len(broken), 3):
            broken[place] = rng.integers(256)
        for read in (read_image, image_size, picture_texts):
            with contextlib.suppress(OSError):
                read(bytes(broken[: rng.integers(1, len(broken) + 1)]))
