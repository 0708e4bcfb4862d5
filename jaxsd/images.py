"""Pictures in files and in memory, and the settings they carry. Pillow is used here only."""

import contextlib
import io
import json
import math
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps
from PIL.PngImagePlugin import PngInfo

GAP = 4
"""Pixels of white between the pictures of a contact sheet."""

WEBUI_SAMPLERS = {
    "ddim": "DDIM",
    "ddpm": "DDPM",
    "deis": "DEIS",
    "dpm++_2m": "DPM++ 2M",
    "dpm++_2m_sde": "DPM++ 2M SDE",
    "dpm++_2s": "DPM++ 2S",
    "euler": "Euler",
    "euler_a": "Euler a",
    "heun": "Heun",
    "lcm": "LCM",
    "lms": "LMS",
    "pndm": "PLMS",
    "tcd": "TCD",
    "unipc": "UniPC",
}
WEBUI_SIGMAS = ("karras", "exponential", "beta")

# One setting of webui's last line: a name, and a value that is quoted where it holds a comma.
_SETTING = re.compile(r'\s*(\w[\w \-/]*):\s*("(?:\\.|[^\\"])*"|[^,]*)(?:,|$)')
_LAST_LINE = "Steps: "
_NEGATIVE = "Negative prompt: "


@dataclass(frozen=True)
class Recipe:
    """What an image was made of, so that it can be made again.

    Attributes:
      sampler: a name of `jaxsd.schedulers.SAMPLERS`, possibly with `_karras` and the like.
      seed: of this image.
      model: what was given to `jaxsd.load`.
      model_hash: first ten hex digits of the model file's sha256, as webui shows them; empty where
        the model is not one file.
      version: of jaxsd.
      guidance_from: and `guidance_to`, the interval of `Pipeline.draw`.
      reuse: as there.
      taesd: as for `jaxsd.load`; empty for the model's own autoencoder.
    """

    prompt: str
    negative_prompt: str
    steps: int
    sampler: str
    guidance_scale: float
    seed: int
    width: int
    height: int
    model: str
    dtype: str
    version: str
    model_hash: str = ""
    guidance_from: float = 0.0
    guidance_to: float = 1.0
    reuse: int = 1
    taesd: str = ""


def parameters_text(recipe: Recipe) -> str:
    """The recipe as webui's `parameters` text: prompt, negative prompt, a line of settings.

    A value with a comma, a colon or a line break is quoted as JSON. A prompt that itself holds
    "Negative prompt:" at the start of a line can not be told apart; the JSON chunk can.
    """
    name, sigmas = recipe.sampler, "Automatic"
    for ending in WEBUI_SIGMAS:
        if name.endswith(f"_{ending}"):
            name, sigmas = name.removesuffix(f"_{ending}"), ending.capitalize()
    settings = {
        "Steps": recipe.steps,
        "Sampler": WEBUI_SAMPLERS.get(name, name),
        "Schedule type": sigmas,
        "CFG scale": f"{recipe.guidance_scale:g}",
        "Seed": recipe.seed,
        "Size": f"{recipe.width}x{recipe.height}",
        "Model hash": recipe.model_hash,
        # Readers take this one unquoted.
        "Model": re.sub(r"[,:\s]+", " ", Path(recipe.model).stem),
        # The same seed gives other noise than torch's generators.
        "RNG": "jaxsd",
        "Version": f"jaxsd {recipe.version}",
    }
    lines = [recipe.prompt]
    if recipe.negative_prompt:
        lines.append(_NEGATIVE + recipe.negative_prompt)
    lines.append(", ".join(f"{key}: {_quoted(value)}" for key, value in settings.items() if value))
    return "\n".join(lines)


def parse_parameters(text: str) -> dict[str, str]:
    """The parts of a `parameters` text: "Prompt", "Negative prompt", and each setting by name."""
    *lines, last = text.split("\n")
    if not last.startswith(_LAST_LINE):
        lines, last = [*lines, last], ""
    starts = [i for i, line in enumerate(lines) if line.startswith(_NEGATIVE)]
    split = starts[0] if starts else len(lines)
    parts = {
        "Prompt": "\n".join(lines[:split]),
        "Negative prompt": "\n".join(lines[split:]).removeprefix(_NEGATIVE),
    }
    for name, value in _SETTING.findall(last):
        parts[name] = json.loads(value) if value.startswith('"') else value.strip()
    return parts


def _quoted(value: object) -> str:
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if re.search(r'[,:\n"]', text) else text


def png_bytes(image: np.ndarray, recipe: Recipe | None = None) -> bytes:
    """A PNG of an image, uint8 [H, W, 3].

    With a recipe it carries webui's text (`parameters`) and the recipe itself as JSON (`jaxsd`).
    """
    chunks = PngInfo()
    if recipe is not None:
        chunks.add_text("parameters", parameters_text(recipe))
        chunks.add_itxt("jaxsd", json.dumps(asdict(recipe), ensure_ascii=False))
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", pnginfo=chunks)
    return buffer.getvalue()


def webp_bytes(image: np.ndarray, recipe: Recipe) -> bytes:
    """A lossless WebP of an image, uint8 [H, W, 3], with the recipe where webui looks for it.

    That is Exif: `parameters` as the user's comment, and the recipe as JSON in the description.
    """
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = json.dumps(asdict(recipe), ensure_ascii=True)
    comment = b"UNICODE\0" + parameters_text(recipe).encode("utf-16-be")
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = comment
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "WEBP", lossless=True, exif=exif)
    return buffer.getvalue()


def decoded(files: Iterable[bytes]) -> np.ndarray:
    """Picture files of one size in memory, uint8 [B, H, W, 3]."""
    return np.stack([read_image(io.BytesIO(packed)) for packed in files])


def write_png(path: str | Path, image: np.ndarray, recipe: Recipe | None = None) -> None:
    """Writes a PNG beside its place and renames it, so that no reader sees half a file."""
    path = Path(path)
    packed = png_bytes(image, recipe)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(packed)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def read_text(path: str | Path) -> dict[str, str]:
    """The text chunks of a PNG by name."""
    with Image.open(path) as image:
        return {name: str(value) for name, value in image.text.items()}


def read_prompt(path: str | Path | io.BytesIO) -> str | None:
    """The prompt in webui's text of a PNG, which ours carry too; None where there is none.

    Raises:
      OSError: no picture.
    """
    with _opened(path) as image:
        text = getattr(image, "text", {}).get("parameters")
    try:
        return None if text is None else parse_parameters(text)["Prompt"]
    except ValueError:  # quotes that do not close
        return None


def read_recipe(path: str | Path) -> Recipe:
    """The recipe that a PNG of ours carries.

    Raises:
      ValueError: the picture carries none, or one that this version does not know.
    """
    with Image.open(path) as image:
        packed = getattr(image, "text", {}).get("jaxsd")
    if packed is None:
        raise ValueError(f"{path} carries no settings of jaxsd")
    settings = json.loads(packed)
    names = {field.name for field in fields(Recipe)}
    if unknown := sorted(set(settings) - names):
        raise ValueError(f"{path} carries settings that this jaxsd does not know: {unknown}")
    return Recipe(**settings)


def read_image(path: str | Path | io.BytesIO) -> np.ndarray:
    """A picture file as uint8 [H, W, 3], the right way up, on white where it is transparent.

    Raises:
      OSError: no picture, or one that breaks off.
    """
    with _opened(path) as image:
        return np.asarray(_upright_rgb(image))


def image_size(path: str | Path | io.BytesIO) -> tuple[int, int]:
    """Height and width of a picture file the right way up, from its header alone.

    Raises:
      OSError: no picture.
    """
    with _opened(path) as image:
        # Pillow would decode a PNG whole to look for an orientation after it.
        turned = image.format != "PNG" and image.getexif().get(ExifTags.Base.Orientation, 1) > 4
        return image.size if turned else image.size[::-1]


def read_cropped(
    path: str | Path | io.BytesIO, height: int, width: int
) -> tuple[np.ndarray, int, int]:
    """A picture scaled to cover a rectangle, and the middle of it.

    Returns:
      uint8 [height, width, 3], and how many rows and columns were cut off at its top and left.

    Raises:
      OSError: as in `read_image`.
    """
    with _opened(path) as image:
        image = _upright_rgb(image)
    scale = max(height / image.height, width / image.width)
    size = (max(width, round(image.width * scale)), max(height, round(image.height * scale)))
    image = image.resize(size, Image.Resampling.LANCZOS)
    top, left = (image.height - height) // 2, (image.width - width) // 2
    return np.asarray(image.crop((left, top, left + width, top + height))), top, left


@contextlib.contextmanager
def _opened(path: str | Path | io.BytesIO) -> Iterator[Image.Image]:
    """A picture file; whatever Pillow says of a damaged one becomes an OSError."""
    try:
        with Image.open(path) as image:
            yield image
    except (SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise OSError(f"no picture: {error}") from error


def _upright_rgb(image: Image.Image) -> Image.Image:
    image = ImageOps.exif_transpose(image)
    if not image.has_transparency_data:
        return image.convert("RGB")
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


def contact_sheet(images: np.ndarray, columns: int | None = None) -> np.ndarray:
    """Pictures [B, H, W, 3] row by row in one, uint8; as wide as high where no columns are given.

    Places that are left over, and gaps of `GAP` pixels, are white.
    """
    count, height, width, channels = images.shape
    columns = math.ceil(math.sqrt(count)) if columns is None else columns
    rows = math.ceil(count / columns)
    sheet = np.full(
        (rows * (height + GAP) + GAP, columns * (width + GAP) + GAP, channels), 255, np.uint8
    )
    for i, image in enumerate(images):
        top, left = (
            GAP + place * (side + GAP)
            for place, side in zip(divmod(i, columns), (height, width), strict=True)
        )
        sheet[top : top + height, left : left + width] = image
    return sheet
