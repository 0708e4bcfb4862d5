"""Pictures one after the other in one file: GIF, animated PNG and WebP."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from jaxsd.images.files import exif_of
from jaxsd.images.opening import frames_in, upright
from jaxsd.images.pixels import bytes_of, on_white

COLOURS = 256
"""Of a frame of a GIF."""


def write_animation(
    path: Path, kind: str, frames: Iterable[np.ndarray], fps: float, texts: Mapping[str, str]
) -> None:
    """Writes a file that repeats without end.

    Args:
      path: where to.
      kind: "gif", "png" or "webp".
      frames: uint8 [H, W, 3] of one size.
      fps: frames in a second. GIF knows hundredths of a second, the others thousandths; times are
        rounded so that no error adds up.
      texts: what the file carries, by name; GIF has one comment for all of them.
    """
    tick = 10 if kind == "gif" else 1
    pictures, count = [_picture(frame, kind) for frame in frames], 0
    durations: list[int] = []
    for count in range(1, len(pictures) + 1):
        durations.append(round(1000 * count / fps / tick) * tick - sum(durations))
    first, *others = pictures
    told = {"save_all": True, "append_images": others, "duration": durations, "loop": 0}
    first.save(path, kind.upper(), **told, **_FORMS[kind](texts))


def zoomed(image: np.ndarray, zoom: float, enlarge: int) -> np.ndarray:
    """The middle of a picture, uint8 [H, W, 3], `zoom` times nearer, and `enlarge` times as large.

    By Lanczos' filter; the picture itself if both are 1.
    """
    if zoom == 1 and enlarge == 1:
        return image
    height, width = image.shape[:2]
    left, top = width * (1 - 1 / zoom) / 2, height * (1 - 1 / zoom) / 2
    box = (left, top, width - left, height - top)
    size = (width * enlarge, height * enlarge)
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS, box))


def frames_of(path: Path) -> Iterator[np.ndarray]:
    """The frames of such a file, uint8 [H, W, 3], as `read_image` reads pictures; frames that are
    alike may have become one.

    Raises:
      OSError: it can not be read.
    """
    for image in frames_in(path):
        yield bytes_of(upright(image), on_white)


def times_of(path: Path, usual: float) -> list[float]:
    """Seconds of each frame of such a file; `usual` where it does not say it.

    Raises:
      OSError: it can not be read.
    """
    return [image.info.get("duration", 0) / 1000 or usual for image in frames_in(path)]


def _picture(frame: np.ndarray, kind: str) -> Image.Image:
    picture = Image.fromarray(frame)
    if kind != "gif":
        return picture
    return picture.quantize(COLOURS, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)


def _png(texts: Mapping[str, str]) -> dict[str, Any]:
    chunks = PngInfo()
    for name, text in texts.items():
        chunks.add_itxt(name, text)
    return {"pnginfo": chunks, "default_image": False}


def _webp(texts: Mapping[str, str]) -> dict[str, Any]:
    return {"exif": exif_of(texts), "lossless": True}


def _gif(texts: Mapping[str, str]) -> dict[str, Any]:
    return {"comment": "\n".join(texts.values()).encode(), "optimize": False}


_FORMS = {"gif": _gif, "png": _png, "webp": _webp}
