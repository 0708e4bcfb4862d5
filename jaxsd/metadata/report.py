"""What `jaxsd info` says of a picture."""

from collections.abc import Iterator
from pathlib import Path

from jaxsd.images import image_size, picture_texts, read_image
from jaxsd.images.watermark import message_in
from jaxsd.metadata.reading import read_made
from jaxsd.provenance import signature_of


def about_picture(path: str | Path) -> Iterator[tuple[str, str]]:
    """Lines about a picture: its size, what made it, its prompt and settings.

    Raises:
      OSError: it is damaged; names the file.
    """
    try:
        (height, width), made = image_size(path), read_made(path)
    except OSError as error:
        raise OSError(f"{path}: {error.strerror or error}") from None
    yield "kind", "picture"
    yield "size", f"{width} x {height}"
    if hidden := _watermark(path):
        yield "hidden text", hidden
    if signed := signature_of(Path(path)):
        yield "signed", signed
    if made is None:
        yield "made by", "not known"
        yield "texts", ", ".join(picture_texts(path)) or "none"
        return
    yield "made by", made.program
    yield "prompt", "can not be told" if made.prompt is None else made.prompt
    if made.negative_prompt:
        yield "negative prompt", made.negative_prompt
    yield from made.settings.items()


def _watermark(path: str | Path) -> str | None:
    try:
        return message_in(read_image(path))
    except OSError:  # damaged, or of a kind whose pixels are not read: its texts still are
        return None
