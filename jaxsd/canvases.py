"""The pictures of one image at the size that is drawn: initial picture, mask and hints."""

import hashlib
import io
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxsd.images import (
    Box,
    box_mask,
    cut,
    feathered,
    fitted,
    grown,
    pasted,
    put_back,
    read_image,
    read_mask,
    region_of,
)
from jaxsd.images.faces import ENDING as FACE
from jaxsd.images.faces import read_face
from jaxsd.images.watermark import check_room, marked, payload
from jaxsd.settings import Settings, box_of
from jaxsd.text_files import bytes_in

MOST_COLOUR = 8
"""Between the channels of a picture that is taken for grey."""


class Pictures(NamedTuple):
    """Pictures as the user gives them, of any size."""

    image: np.ndarray | None = None  # uint8 [H, W, 3]
    mask: np.ndarray | None = None  # uint8 [H, W], 255 where to paint
    controls: tuple[np.ndarray, ...] = ()  # uint8 [H, W, 3], one for each of `Settings.control`
    prompts: tuple[np.ndarray, ...] = ()  # for each of `Settings.ip_adapter`, or faces [d] float32
    depth: np.ndarray | None = None  # uint8 [H, W], 255 is nearest
    prompt_masks: tuple[np.ndarray, ...] = ()  # uint8 [H, W], for each of `ip_adapter_mask`
    regions: tuple[np.ndarray, ...] = ()  # uint8 [H, W] for each of `Settings.region` with a mask
    reference: np.ndarray | None = None  # uint8 [H, W, 3]


class Canvas(NamedTuple):
    """The same pictures at the size that is drawn."""

    image: np.ndarray | None  # uint8 [H, W, 3]
    mask: np.ndarray | None  # float32 [H, W], 1 where to paint, 0 where the picture stays
    hints: tuple[np.ndarray, ...]  # uint8 [H, W, 3]
    depth: np.ndarray | None = None  # uint8 [H, W]
    prompts: tuple[np.ndarray, ...] = ()  # uint8 [H, W, 3] of any size, or [d], for IP-Adapters
    prompt_masks: tuple[np.ndarray, ...] = ()  # uint8 [H, W], 255 where an IP-Adapter acts
    regions: tuple[np.ndarray, ...] = ()  # uint8 [H, W], 255 where a region's text counts
    reference: np.ndarray | None = None  # uint8 [H, W, 3], that self-attention looks at
    around: "Around | None" = None  # what a part of a picture is put back into
    whole: np.ndarray | None = None  # uint8 [H, W, 3] of any size, the image as it was given


class Around(NamedTuple):
    """A picture of which a part is drawn, with `only_masked`."""

    image: np.ndarray  # uint8 [H, W, 3], in its own size
    mask: np.ndarray  # float32 [H, W], as that of a canvas
    box: Box  # the part


def read_pictures(settings: Settings, folder: Path = Path()) -> tuple[Pictures, dict[str, str]]:
    """The pictures whose files the settings name, and the sha256 of each by that name.

    Args:
      settings: file names that are not absolute are relative to `folder`.
      folder: where the file with these settings lies.

    Raises:
      ValueError: a file is missing, or is not a picture.
    """
    hashes: dict[str, str] = {}

    def packed(name: str) -> io.BytesIO:
        content = bytes_in(folder / name)
        hashes[name] = hashlib.sha256(content).hexdigest()
        return io.BytesIO(content)

    name = ""
    try:
        image = mask = None
        if name := settings.image:
            image = read_image(packed(name))
        if box := box_of(settings.mask):
            mask = box_mask(box, *image.shape[:2])
        elif name := settings.mask:
            mask = read_mask(packed(name))
        depth = reference = None
        if name := settings.depth:
            depth = grey(read_image(packed(name)), name)
        regions = []
        for name in masks_of(settings):
            regions.append(read_mask(packed(name)))
        if name := settings.reference:
            reference = read_image(packed(name))
        seen = []
        for one in (*settings.control, *settings.ip_adapter):
            name = one.image
            read = read_face if name.endswith(FACE) else read_image
            seen.append(read(packed(name)))
        where = []
        for one in settings.ip_adapter_mask:
            name = one
            where.append(read_mask(packed(name)))
    except OSError as error:
        raise ValueError(f"picture {name!r}: {error.strerror or error}") from None
    count = len(settings.control)
    own = tuple(seen[:count]), tuple(seen[count:])
    return Pictures(image, mask, *own, depth, tuple(where), tuple(regions), reference), hashes


def masks_of(settings: Settings) -> list[str]:
    """The files of masks of the regions that have one."""
    return [one.mask for one in settings.region if one.mask]


def grey(image: np.ndarray, name: str) -> np.ndarray:
    """The values [H, W] of a grey picture [H, W, 3].

    Raises:
      ValueError: it has colours.
    """
    if np.ptp(image.astype(int), axis=-1).max() > MOST_COLOUR:
        raise ValueError(f"depth {name!r} has colours; give a grey picture, in which white is near")
    return image[..., 0]


def pictures_alone(settings: Settings) -> Settings:
    """Settings that name the same pictures, and nothing else."""
    named = (
        *("image", "mask", "depth", "control", "ip_adapter"),
        *("ip_adapter_mask", "region", "reference"),
    )
    return Settings(**{name: getattr(settings, name) for name in named})


def canvas_of(settings: Settings, pictures: Pictures, unit: int = 1) -> Canvas:
    """The canvas of an image, from checked settings.

    Args:
      settings: of the image.
      pictures: that they name.
      unit: pixels that are drawn along a side for one of the picture's, of models that enlarge.

    Raises:
      ValueError: a picture that the settings name is not given.
    """
    for name in ("image", "mask", "depth", "reference"):
        if getattr(settings, name) and getattr(pictures, name) is None:
            raise ValueError(f"{name} {getattr(settings, name)!r} is named, and not given")
    if len(settings.control) != len(pictures.controls):
        raise ValueError(
            f"control names {len(settings.control)} ControlNets, and there are "
            f"{len(pictures.controls)} pictures for them; give one for each"
        )
    if len(settings.ip_adapter) != len(pictures.prompts):
        raise ValueError(
            f"ip_adapter names {len(settings.ip_adapter)} adapters, and there are "
            f"{len(pictures.prompts)} pictures for them; give one for each"
        )
    if len(settings.ip_adapter_mask) != len(pictures.prompt_masks):
        raise ValueError(
            f"ip_adapter_mask names {len(settings.ip_adapter_mask)} pictures, and there are "
            f"{len(pictures.prompt_masks)}; give one for each"
        )
    if len(masks_of(settings)) != len(pictures.regions):
        raise ValueError(
            f"region names {len(masks_of(settings))} masks, and there are {len(pictures.regions)} "
            "pictures for them; give one for each"
        )
    if settings.only_masked:
        canvas = _canvas_of_part(settings, pictures)
    else:
        canvas = _canvas_of(settings, pictures, unit)
    regions = tuple(fitted(one, *settings.drawn_size) for one in pictures.regions)
    reference = pictures.reference
    if reference is not None:
        reference = fitted(reference, *settings.drawn_size)
    seen = {"prompts": pictures.prompts, "whole": pictures.image}
    return canvas._replace(regions=regions, reference=reference, **seen)


def _canvas_of(settings: Settings, pictures: Pictures, unit: int) -> Canvas:
    def sized(grey: np.ndarray) -> np.ndarray:
        return fitted(grey, *settings.drawn_size)

    hints, depth = hints_of(settings, pictures), pictures.depth
    if depth is not None:
        depth = sized(depth)
    seen = {"prompt_masks": tuple(map(sized, pictures.prompt_masks))}
    if pictures.image is None:
        return Canvas(None, None, hints, depth, **seen)
    image = fitted(pictures.image, settings.height // unit, settings.width // unit)
    if not settings.paints:
        return Canvas(image, None, hints, depth, **seen)
    mask = np.zeros(image.shape[:2], np.uint8)
    if pictures.mask is not None:
        mask = fitted(pictures.mask[..., None], settings.height, settings.width)[..., 0]
    left, top, right, bottom = settings.outpaint
    if any(settings.outpaint):
        image, new = grown(image, left=left, top=top, right=right, bottom=bottom)
        mask = np.maximum(np.pad(mask, ((top, bottom), (left, right))), new)
    return Canvas(image, feathered(mask, settings.mask_blur), hints, depth, **seen)


def _canvas_of_part(settings: Settings, pictures: Pictures) -> Canvas:
    """The part of a picture around what is painted, in the size that is drawn.

    Masks and pictures of ControlNets are brought to the picture's size first.

    Raises:
      ValueError: nothing is to be painted, or the picture is too small for a watermark.
    """
    image, size = pictures.image, (settings.height, settings.width)
    own = image.shape[:2]
    if settings.watermark:
        check_room(settings.watermark, *own)
    mask = feathered(fitted(pictures.mask[..., None], *own)[..., 0], settings.mask_blur)
    box = region_of(mask, settings.only_masked, *size)
    seen = cut(np.round(255 * mask).astype(np.uint8), box, *size)
    parts = tuple(cut(fitted(one, *own), box, *size) for one in pictures.controls)

    def sized(grey: np.ndarray) -> np.ndarray:
        return cut(fitted(grey, *own), box, *size)

    depth = pictures.depth
    if depth is not None:
        depth = sized(depth)
    return Canvas(
        cut(image, box, *size),
        feathered(seen, 0),
        hints_of(settings, pictures._replace(controls=parts)),
        depth,
        prompt_masks=tuple(map(sized, pictures.prompt_masks)),
        around=Around(image, mask, box),
    )


def hints_of(settings: Settings, pictures: Pictures) -> tuple[np.ndarray, ...]:
    """What ControlNets see, uint8 [H, W, 3] each."""
    if not pictures.controls:
        return ()
    from jaxsd.hints import HINTS  # imports scipy, which only ControlNets need

    height, width = settings.drawn_size
    preprocess = HINTS[settings.preprocessor]
    return tuple(preprocess(fitted(one, height, width)) for one in pictures.controls)


def picture_of(drawn: np.ndarray, canvas: Canvas, settings: Settings) -> np.ndarray:
    """The picture that comes of a drawn one, uint8 [H, W, 3]: `pasted_back`, then watermarked."""
    picture = pasted_back(drawn, canvas, settings)
    if settings.watermark:
        picture = marked(picture, payload(settings.watermark))
    return picture


def pasted_back(drawn: np.ndarray, canvas: Canvas, settings: Settings) -> np.ndarray:
    """A drawn picture, uint8 [H, W, 3], with the kept pixels of the original put back.

    With `only_masked` it is the whole original, with what was drawn in its place.
    """
    image, mask = canvas.image, canvas.mask
    if canvas.around is not None:
        image, mask, box = canvas.around
        drawn = put_back(drawn, image, box)
    if mask is None or not settings.composite:
        return drawn
    if settings.differential:  # grey places are drawn, as far as they change
        mask = (mask > 0).astype(np.float32)
    return pasted(drawn, image, mask)
