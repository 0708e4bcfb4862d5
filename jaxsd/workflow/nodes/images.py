"""Nodes of pictures: loaded, saved, in other sizes, put together."""

import json
from collections.abc import Mapping
from typing import Annotated, Literal

import numpy as np

from jaxsd.hints import canny as canny_edges
from jaxsd.images import png_bytes, read_rgba, to_uint8
from jaxsd.pipeline.upscaling import Upscaler
from jaxsd.workflow.arrays import repeated
from jaxsd.workflow.resizing import IMAGE_METHODS, common_upscale, resized
from jaxsd.workflow.schema import MAX_RESOLUTION, Choice, Percent, Picture, Pixels, Range, node
from jaxsd.workflow.values import IMAGE, MASK, UPSCALE_MODEL
from jaxsd.workflow.workspace import TEMPORARY, Workspace
from jaxsd.writing import replacing

Method = Annotated[str, Choice(IMAGE_METHODS)]
Side = Annotated[int, Range(1, MAX_RESOLUTION)]
EMPTY = 64
"""Side of the mask of a picture that has no alpha channel."""


@node("LoadImage", "IMAGE", "MASK")
def load_image(
    place: Workspace, *, image: Annotated[str, Picture()]
) -> tuple[np.ndarray, np.ndarray]:
    """A picture, and a mask that is white where it is transparent."""
    pixels, alpha = read_rgba(place.picture(image))
    mask = np.zeros((1, EMPTY, EMPTY), np.float32)
    if alpha is not None:
        mask = 1 - alpha[None].astype(np.float32) / 255
    return pixels[None].astype(np.float32) / 255, mask


@node("LoadImageMask", "MASK")
def load_image_mask(
    place: Workspace,
    *,
    image: Annotated[str, Picture()],
    channel: Literal["alpha", "red", "green", "blue"],
) -> np.ndarray:
    """One channel of a picture as a mask; alpha turned around."""
    pixels, mask = load_image(place, image=image)
    return mask if channel == "alpha" else pixels[..., ("red", "green", "blue").index(channel)]


@node("SaveImage", "IMAGE", is_output=True)
def save_image(place: Workspace, *, images: IMAGE, filename_prefix: str = "ComfyUI") -> np.ndarray:
    """Pictures as PNG, cut to bytes as ComfyUI does, with the graph inside."""
    _write(place, images, filename_prefix, "")
    return images


@node("PreviewImage", "IMAGE", is_output=True)
def preview_image(place: Workspace, *, images: IMAGE) -> np.ndarray:
    """Pictures in the folder `temp` of the outputs."""
    _write(place, images, "ComfyUI_temp", TEMPORARY)
    return images


def _write(place: Workspace, images: np.ndarray, prefix: str, folder: str) -> None:
    height, width = images.shape[1:3]
    prefix = prefix.replace("%width%", str(width)).replace("%height%", str(height))
    for number, pixels in enumerate(np.clip(255 * images, 0, 255).astype(np.uint8)):
        name = prefix.replace("%batch_num%", str(number))
        path = place.new_file(name, folder)
        with replacing(path) as part:
            part.write_bytes(png_bytes(pixels, _texts(place.texts)))
        place.written.append(path)


def _texts(texts: Mapping[str, object]) -> dict[str, str]:
    return {name: json.dumps(table) for name, table in texts.items()}


@node("ImageScale", "IMAGE")
def image_scale(
    *,
    image: IMAGE,
    upscale_method: Method,
    width: Pixels = 512,
    height: Pixels = 512,
    crop: Literal["disabled", "center"],
) -> np.ndarray:
    """Pictures in another size; a side of 0 follows from the other."""
    rows, columns = image.shape[1:3]
    if width == 0 and height == 0:
        return image
    width = width or max(1, round(columns * height / rows))
    height = height or max(1, round(rows * width / columns))
    return common_upscale(image, height, width, upscale_method, crop)


@node("ImageScaleBy", "IMAGE")
def image_scale_by(
    *, image: IMAGE, upscale_method: Method, scale_by: Annotated[float, Range(0.01, 8)] = 1.0
) -> np.ndarray:
    """Pictures enlarged."""
    height, width = (round(side * scale_by) for side in image.shape[1:3])
    return resized(image, height, width, upscale_method)


@node("ImageScaleToTotalPixels", "IMAGE")
def image_scale_to_total_pixels(
    *,
    image: IMAGE,
    upscale_method: Method,
    megapixels: Annotated[float, Range(0.01, 16)] = 1.0,
    resolution_steps: Annotated[int, Range(1, 256)] = 1,
) -> np.ndarray:
    """Pictures with about so many pixels."""
    rows, columns = image.shape[1:3]
    scale = np.sqrt(megapixels * 1024 * 1024 / (rows * columns))
    unit = resolution_steps
    height, width = (round(side * scale / unit) * unit for side in (rows, columns))
    return resized(image, height, width, upscale_method)


@node("ImageUpscaleWithModel", "IMAGE")
def image_upscale_with_model(*, upscale_model: UPSCALE_MODEL, image: IMAGE) -> np.ndarray:
    """Pictures enlarged by a network, tile by tile."""
    own: Upscaler = upscale_model
    made = [own.picture(to_uint8(2 * one - 1)) for one in image]
    return np.stack(made).astype(np.float32) / 255


@node("ImageInvert", "IMAGE")
def image_invert(*, image: IMAGE) -> np.ndarray:
    """The negative."""
    return 1 - image


@node("ImageBatch", "IMAGE")
def image_batch(*, image1: IMAGE, image2: IMAGE) -> np.ndarray:
    """Both as one batch, in the size of the first."""
    other = common_upscale(image2, *image1.shape[1:3], "bilinear", "center")
    return np.concatenate([image1, other])


@node("ImagePadForOutpaint", "IMAGE", "MASK")
def image_pad_for_outpaint(
    *,
    image: IMAGE,
    left: Pixels = 0,
    top: Pixels = 0,
    right: Pixels = 0,
    bottom: Pixels = 0,
    feathering: Pixels = 40,
) -> tuple[np.ndarray, np.ndarray]:
    """Pictures with grey around them, and a mask of it that fades into them."""
    batch, height, width, channels = image.shape
    grown = np.full((batch, height + top + bottom, width + left + right, channels), 0.5, np.float32)
    grown[:, top : top + height, left : left + width] = image
    mask = np.ones(grown.shape[1:3], np.float32)
    inner = np.zeros((height, width), np.float32)
    if feathering > 0 and 2 * feathering < min(height, width):
        y, x = np.mgrid[:height, :width]
        edges = (
            y if top else height,
            height - y if bottom else height,
            x if left else width,
            width - x if right else width,
        )
        near = np.minimum(np.minimum(edges[0], edges[1]), np.minimum(edges[2], edges[3]))
        inner = np.square(np.maximum(feathering - near, 0) / feathering)
    mask[top : top + height, left : left + width] = inner
    return grown, mask[None]


@node("EmptyImage", "IMAGE")
def empty_image(
    *,
    width: Side = 512,
    height: Side = 512,
    batch_size: Annotated[int, Range(1, 4096)] = 1,
    color: Annotated[int, Range(0, 0xFFFFFF)] = 0,
) -> np.ndarray:
    """A picture of one colour."""
    rgb = np.float32([color >> 16 & 255, color >> 8 & 255, color & 255]) / 255
    return np.tile(rgb, (batch_size, height, width, 1))


@node("ImageCompositeMasked", "IMAGE")
def image_composite_masked(
    *,
    destination: IMAGE,
    source: IMAGE,
    x: Pixels = 0,
    y: Pixels = 0,
    resize_source: bool = False,
    mask: MASK | None = None,
) -> np.ndarray:
    """Pictures put over others, where a mask is white."""
    made = destination.copy()
    if resize_source:
        source = resized(source, *made.shape[1:3], "bilinear")
    source = repeated(source, len(made))
    share = np.ones((1, *source.shape[1:3]), np.float32) if mask is None else mask
    share = resized(share[..., None], *source.shape[1:3], "bilinear")
    part = made[:, y : y + source.shape[1], x : x + source.shape[2]]
    cut = (slice(None), slice(part.shape[1]), slice(part.shape[2]))
    share = repeated(share, len(made))[cut]
    part[...] = share * source[cut] + (1 - share) * part
    return made


@node("ImageBlend", "IMAGE")
def image_blend(
    *,
    image1: IMAGE,
    image2: IMAGE,
    blend_factor: Percent = 0.5,
    blend_mode: Literal["normal", "multiply", "screen", "difference"] = "normal",
) -> np.ndarray:
    """A share of what a mode makes of both, and the rest of the first."""
    other = common_upscale(image2, *image1.shape[1:3], "bicubic", "center")
    made = {
        "normal": other,
        "multiply": image1 * other,
        "screen": 1 - (1 - image1) * (1 - other),
        "difference": image1 - other,
    }[blend_mode]
    return np.clip(image1 * (1 - blend_factor) + made * blend_factor, 0, 1).astype(np.float32)


@node("Canny", "IMAGE")
def canny(
    *,
    image: IMAGE,
    low_threshold: Annotated[float, Range(0.01, 0.99)] = 0.4,
    high_threshold: Annotated[float, Range(0.01, 0.99)] = 0.8,
) -> np.ndarray:
    """Edges, by OpenCV's function with thresholds times 255; ComfyUI's own are not the same."""
    made = [
        canny_edges(to_uint8(2 * one - 1), 255 * low_threshold, 255 * high_threshold)
        for one in image
    ]
    return np.stack(made).astype(np.float32) / 255


@node("GetImageSize", "INT", "INT", "INT")
def get_image_size(*, image: IMAGE) -> tuple[int, int, int]:
    """Width, height and number of pictures."""
    return image.shape[2], image.shape[1], len(image)
