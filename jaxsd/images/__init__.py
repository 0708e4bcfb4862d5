"""Pictures: in files, in memory, with the settings they carry. NumPy and Pillow, no JAX."""

from jaxsd.images.canvas import grown, masked_for_inpainting, pasted
from jaxsd.images.depth import latent_depth
from jaxsd.images.files import (
    ENCODERS,
    decoded,
    encoder_of,
    image_size,
    jpeg_bytes,
    png_bytes,
    read_cropped,
    read_image,
    read_rgba,
    webp_bytes,
    write_picture,
)
from jaxsd.images.labels import labelled_sheet
from jaxsd.images.masks import (
    binary,
    box_mask,
    feathered,
    latent_mask,
    middles,
    read_mask,
    read_opaque_mask,
)
from jaxsd.images.opening import ENDINGS, File, is_picture
from jaxsd.images.pixels import as_pillow, check_uint8, from_uint8, to_uint8
from jaxsd.images.regions import Box, cut, put_back, region_of
from jaxsd.images.resize import clean_resize, clip_resize, covering, fitted, stretched, thumbnail
from jaxsd.images.sheet import GAP, contact_sheet
from jaxsd.images.stealth import hidden_text
from jaxsd.images.texts import PARAMETERS, picture_texts

__all__ = [
    "ENCODERS",
    "ENDINGS",
    "GAP",
    "PARAMETERS",
    "Box",
    "File",
    "as_pillow",
    "binary",
    "box_mask",
    "check_uint8",
    "clean_resize",
    "clip_resize",
    "contact_sheet",
    "covering",
    "cut",
    "decoded",
    "encoder_of",
    "feathered",
    "fitted",
    "from_uint8",
    "grown",
    "hidden_text",
    "image_size",
    "is_picture",
    "jpeg_bytes",
    "labelled_sheet",
    "latent_depth",
    "latent_mask",
    "masked_for_inpainting",
    "middles",
    "pasted",
    "picture_texts",
    "png_bytes",
    "put_back",
    "read_cropped",
    "read_image",
    "read_mask",
    "read_opaque_mask",
    "read_rgba",
    "region_of",
    "stretched",
    "thumbnail",
    "to_uint8",
    "webp_bytes",
    "write_picture",
]
