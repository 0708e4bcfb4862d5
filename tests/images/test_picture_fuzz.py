"""Random wrong pictures: chunks of PNG, EXIF, XMP and texts in pixels, as programs write them."""

import gzip
import io
import random
import struct
import zlib

import numpy as np
from fuzzing import as_json, attempt, mutated, parts, scrambled, seeds
from PIL import Image

from jaxsd.images import read_image
from jaxsd.images.animation import frames_of, times_of
from jaxsd.metadata import about_picture, prompt_of

pytestmark = parts

GRAPH = {
    "3": {"class_type": "KSampler", "inputs": {"seed": 1, "steps": 2, "positive": ["6", 0]}},
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a cat", "clip": ["4", 1]}},
    "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "m.safetensors"}},
}
EDITOR = {
    "nodes": [
        {
            "id": 6,
            "type": "CLIPTextEncode",
            "inputs": [{"name": "clip", "link": 1}],
            "widgets_values": ["a cat"],
        },
        {"id": 3, "type": "KSampler", "inputs": [{"name": "positive", "link": 2}]},
    ],
    "links": [[1, 4, 1, 6, 0, "CLIP"], [2, 6, 0, 3, 1, "CONDITIONING"]],
}
TABLES = {
    "parameters": {"sui_image_params": {"prompt": "a", "seed": 3, "loras": ["x"]}},
    "prompt": GRAPH,
    "workflow": EDITOR,
    "invokeai_metadata": {"positive_prompt": "a", "seed": 1, "model": {"name": "m"}},
    "sd-metadata": {"image": {"prompt": [{"prompt": "a", "weight": 1}], "seed": 1}},
    "Comment": {"prompt": "a", "uc": "b", "steps": 28, "seed": 1},
    "jaxsd": {"prompt": "a", "version": "0.1", "steps": 2, "lora": [], "width": 64},
}
LINES = (
    'a (cat:1.2)\nNegative prompt: b\nSteps: 20, Sampler: Euler a, Seed: 1, Size: 64x64, x: "y"',
    '"a cat" -s50 -W512 -C7.5 -Ak_lms -S1234',
    "a cat --ar 2:3 Job ID: 8a7f9b0e",
    'Prompt: {"1": [}\nSteps: ,,,: "\\u", [[[[',
)


def written(rng):
    """A name and a text, as some program writes them, or nearly so."""
    if rng.random() < 0.3:
        text = rng.choice(LINES)
        cut = rng.randrange(len(text) + 1)
        text = text[:cut] + rng.choice(("", ", " * 30_000, "\n" * 3000, "(" * 3000)) + text[cut:]
        return rng.choice((*TABLES, "Dream", "Description")), text.encode()
    name = rng.choice(list(TABLES))
    table = TABLES[name]
    for _ in range(rng.randrange(3)):
        table = mutated(rng, table)
    return (name if rng.random() < 0.9 else rng.choice(list(TABLES))), as_json(rng, table)


def chunk(rng, name, content):
    size = len(content) if rng.random() < 0.97 else rng.choice((0, 2**31, 2**32 - 1))
    check = zlib.crc32(name + content) if rng.random() < 0.97 else 0
    return struct.pack(">I", size) + name + content + struct.pack(">I", check)


def text_chunk(rng):
    """A text under its name, in one of the ways that a PNG can have it."""
    name, text = written(rng)
    key = name.encode() + b"\0"
    kinds = (
        lambda: chunk(rng, b"tEXt", key + text),
        lambda: chunk(rng, b"comf", key + text),
        lambda: chunk(rng, b"zTXt", key + b"\0" + compressed(rng, text)),
        lambda: chunk(rng, b"iTXt", key + b"\1\0en\0\0" + compressed(rng, text)),
        lambda: chunk(rng, b"iTXt", key + b"\0\0\0\0" + text),
        lambda: chunk(rng, b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp(rng)),
        lambda: chunk(rng, b"eXIf", tiff(rng)),
    )
    return rng.choice(kinds)()


LARGE = zlib.compress(bytes(10**7))
"""Little that becomes much."""


def compressed(rng, text):
    packed = zlib.compress(text, 1)
    return rng.choice((*[packed] * 9, LARGE, packed[:-5], packed + packed, b""))


def png(rng):
    """A PNG of 8 x 8 with all kinds of texts, in any order."""
    depth, colour = rng.choice(((8, 2), (8, 6), (16, 0), (1, 3), (8, 6), (3, 9)))
    sides = [rng.choice((8, 8, 8, 8, 0, 2**31)) for _ in range(2)]
    head = struct.pack(">IIBBBBB", *sides, depth, colour, 0, 0, 0)
    several = [text_chunk(rng) for _ in range(rng.choice((1, 2, 3)))]
    if rng.random() < 0.03:
        several = (several * 2000)[: 2**24 // max(map(len, several))]
    several += [chunk(rng, b"PLTE", bytes(6)), chunk(rng, b"IDAT", zlib.compress(bytes(8 * 33)))]
    rng.shuffle(several)
    end = chunk(rng, b"IEND", b"") if rng.random() < 0.9 else b""
    return b"\x89PNG\r\n\x1a\n" + chunk(rng, b"IHDR", head) + b"".join(several) + end


TAGS = (0x010E, 0x010F, 0x0110, 0x0112, 0x0131, 0x8769, 0x8825, 0xA005, 0x9286, 0x9C9C, 700, 330)
WIDTHS = (1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8)
"""Bytes of a value of each type of TIFF, from 1 on."""


def tiff(rng):
    """The bytes of EXIF: tables of tags that may point at each other, at themselves, at nothing."""
    order = rng.choice("<>")
    packed = bytearray(struct.pack(order + "2sHI", b"II" if order == "<" else b"MM", 42, 8))
    comment = rng.choice((b"UNICODE\0", b"ASCII\0\0\0", bytes(8), b"")) + written(rng)[1][:60_000]
    if rng.random() < 0.5:
        comment = b"UNICODE\0" + comment.decode("latin-1").encode(
            "utf-16-" + rng.choice("lb") + "e"
        )
    place = 8 + 2 + 12 * 6 + 4
    for _ in range(rng.choice((1, 2))):
        packed += struct.pack(order + "H", rng.choice((6, 6, 6, 0, 65535)))
        for tag in rng.sample(TAGS, 6):
            kind = rng.choice((2, 2, 7, 7, 4, 3, 1, 12, 0, 99))
            count = rng.choice((len(comment), 1, 0, 2**31, 2**32 - 1, 10**6))
            value = rng.choice((place, 8, 8 + 2 + 12 * 6 + 4, 2**32 - 1, 6))
            packed += struct.pack(order + "HHII", tag, kind, count, value)
        packed += struct.pack(order + "I", rng.choice((0, 8, len(packed) + 4)))
    return bytes(packed + comment)


INSIDE = (
    "<a>" * 50_000,
    "<a b='c'/>" * 50_000,
    "<rdf:Description>" * 3000 + "</rdf:Description>" * 3000,
    "<x:y/>",
)
ATTRIBUTES = " " + "a='b' " * 10_000
DOCTYPES = (
    *("", "", "", "<?xml version='1.0' encoding='utf-16'?>", "\ufeff"),
    "<!DOCTYPE a [<!ENTITY a 'aaaaaaaa'><!ENTITY b '&a;&a;&a;&a;&a;&a;'>]>",
    "<!DOCTYPE a SYSTEM 'file:///etc/passwd'>",
)


def xmp(rng):
    """XMP with a text in one of its places, and with what XML can do to a reader."""
    text = written(rng)[1].decode("latin-1").replace("<", "&lt;")[:200_000]
    text = rng.choice((text, text.replace("&", "&amp;"), "&a;", "&#0;", "&#x110000;", "]]>"))
    inner = rng.choice(
        (
            f"<exif:UserComment><rdf:Alt><rdf:li>{text}</rdf:li></rdf:Alt></exif:UserComment>",
            f"<dc:description>{text}</dc:description>",
            *INSIDE,
        )
    )
    told = rng.choice(("", f' xmp:CreatorTool="{text[:300]}"', ATTRIBUTES))
    doctype = rng.choice(DOCTYPES)
    whole = (
        f"{doctype}<x:xmpmeta xmlns:x='adobe:ns:meta/' xmlns:xmp='http://ns.adobe.com/xap/1.0/' "
        "xmlns:dc='http://purl.org/dc/elements/1.1/' xmlns:exif='http://ns.adobe.com/exif/1.0/'>"
        "<rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>"
        f"<rdf:Description{told}>{inner}</rdf:Description></rdf:RDF></x:xmpmeta>"
    ).encode(rng.choice(("utf-8", "utf-8", "utf-16")))
    return scrambled(rng, whole) if rng.random() < 0.2 else whole


def saved(rng):
    """A JPEG, WebP, TIFF or GIF with EXIF, XMP and a comment."""
    file, kind = io.BytesIO(), rng.choice(("JPEG", "WEBP", "TIFF", "GIF"))
    text, about, exif = written(rng)[1], xmp(rng), b"Exif\0\0" + tiff(rng)
    packed = {
        "JPEG": {"exif": exif[:65_000], "comment": text[:65_000]},
        "WEBP": {"exif": exif, "xmp": about},
        "TIFF": {"tiffinfo": {270: text.decode("latin-1"), 700: about}},
        "GIF": {"comment": text},
    }
    Image.new("RGB", (8, 8), (1, 2, 3)).save(file, kind, **packed[kind])
    whole = file.getvalue()
    if kind == "JPEG":
        about = b"http://ns.adobe.com/xap/1.0/\0" + about[:65_000]
        whole = whole[:2] + struct.pack(">2sH", b"\xff\xe1", len(about) + 2) + about + whole[2:]
    return whole


def stealth(rng):
    """A PNG with a text in the lowest bits of its alpha channel or its colours."""
    bands, kind = rng.choice(((slice(3, 4), b"png"), (slice(0, 3), b"rgb")))
    way, text = rng.choice((b"info", b"comp")), written(rng)[1][:5000]
    packed = gzip.compress(text, 1) if way == b"comp" and rng.random() < 0.8 else text
    size = rng.choice((8 * len(packed), 8 * len(packed), 0, 7, 2**32 - 1, 2**31))
    whole = b"stealth_" + kind + way + struct.pack(">I", size) + packed
    bits = np.unpackbits(np.frombuffer(whole, np.uint8))
    pixels = np.full((128, 512, 4), 254, np.uint8)
    room = pixels[..., bands].swapaxes(0, 1)
    held = np.resize(np.concatenate([bits, np.zeros(room.size, np.uint8)])[: room.size], room.shape)
    pixels[..., bands] |= held.swapaxes(0, 1)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    return file.getvalue()


def moving(rng):
    """An animated PNG, WebP or GIF, or a TIFF of two pages."""
    file, kind = io.BytesIO(), rng.choice(("PNG", "PNG", "WEBP", "GIF", "TIFF"))
    mode = rng.choice(("RGB", "RGBA", "L", "P"))
    several = [Image.new(mode, (8, 8 - rng.randrange(2) * (kind == "TIFF")), 9) for _ in range(3)]
    several[1].putpixel((2, 3), 200)
    several[0].save(file, kind, save_all=True, append_images=several[1:], duration=40)
    packed = file.getvalue()
    if kind == "PNG" and rng.random() < 0.3:
        texts = b"".join(text_chunk(rng) for _ in range(2))
        packed = packed[:33] + texts + packed[33:]
    return packed


def test_frames_of_animations(tmp_path, part):
    path = tmp_path / "x.png"
    for seed in seeds(part):
        rng = random.Random(seed)
        whole = moving(rng)
        path.write_bytes(scrambled(rng, whole) if rng.random() < 0.7 else whole)

        def read():
            for frame, seconds in zip(frames_of(path), times_of(path, 0.1), strict=True):
                assert frame.ndim == 3
                assert seconds > 0

        attempt(read, seed)


def test_texts_of_pictures(tmp_path, part):
    path = tmp_path / "x.png"
    for seed in seeds(part, 2):
        rng = random.Random(seed)
        whole = rng.choice((png, png, saved, saved, tiff, stealth))(rng)
        path.write_bytes(scrambled(rng, whole) if rng.random() < 0.3 else whole)
        attempt(lambda: list(about_picture(path)), seed)
        attempt(lambda: prompt_of(path), seed)
        attempt(lambda: read_image(path), seed)
