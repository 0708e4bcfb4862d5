"""The files of drawings: their names, the recipes in them, a contact sheet."""

import hashlib
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from jaxsd.convert.image_encoder import encoder_place, weights_place
from jaxsd.convert.ip_adapter import faces_in
from jaxsd.images import contact_sheet, encoder_of, read_image, words_sheet
from jaxsd.provenance import MADE, MADE_OF, Signer
from jaxsd.schedulers import is_learnt
from jaxsd.settings import Recipe, Settings, adapters_of
from jaxsd.settings.adapters import adapter_place, upscaler_place
from jaxsd.webui import texts_of
from jaxsd.writing import check_writable, replacing

LONGEST_NAME = 60
"""Characters of a prompt that go into the name of its file."""
LARGEST_NAME = 180
"""Bytes of them: file systems take 255 for a name, and some letters are four."""


def output_paths(output: Path, prompts: Sequence[str], seed: int) -> tuple[list[Path], Path | None]:
    """Files of the images, and of the contact sheet where there are several images.

    In a folder, which is made if it is missing: PROMPT_SEED.png and contact_sheet.png. For several
    images and NAME.png, .jpg or .webp: NAME_SEED.png, and NAME.png is the contact sheet.

    Raises:
      ValueError: `output` is a file of another kind, or one of the files can not be written.
    """
    is_folder = output.is_dir() or not output.suffix
    if not is_folder:
        encoder_of(output)
    folder = output if is_folder else output.parent
    try:
        if is_folder:
            folder.mkdir(exist_ok=True)
        check_writable(folder)
    except OSError as error:
        raise ValueError(f"cannot write to {output}: {error.strerror or error}") from error
    seeds = range(seed, seed + len(prompts))
    if is_folder:
        named = zip(prompts, seeds, strict=True)
        paths = [folder / f"{file_name(prompt)}_{number}.png" for prompt, number in named]
        sheet = folder / "contact_sheet.png"
    else:
        paths = [output.with_stem(f"{output.stem}_{number}") for number in seeds]
        sheet = output
    if len(prompts) == 1:
        paths, sheet = paths if is_folder else [sheet], None
    for path in (*paths, *([sheet] if sheet else [])):
        _check_name(path)
    return paths, sheet


def check_file(path: Path) -> Path:
    """The name of a picture file that can be written.

    Raises:
      ValueError: a name of another kind, or no such folder, or one that can not be written to.
    """
    encoder_of(path)
    try:
        check_writable(path.parent)
    except OSError as error:
        raise ValueError(f"cannot write to {path}: {error.strerror or error}") from error
    _check_name(path)
    return path


def check_room(path: Path, recipe: Recipe) -> None:
    """Finds out whether the kind of a picture file has room for a recipe and the picture's size.

    Raises:
      ValueError: it has not.
    """
    check_sides(path, *recipe.settings.final_size, texts_of(recipe))


def check_sides(
    path: Path, height: int, width: int, texts: Mapping[str, str] | None = None
) -> None:
    """The same for texts and sides.

    Raises:
      ValueError: they are too long.
    """
    encode = encoder_of(path)
    # A line of pixels is long enough to tell.
    for shape in ((height, 1, 3), (1, width, 3)):
        encode(np.zeros(shape, np.uint8), texts)


def _check_name(path: Path) -> None:
    """Finds out whether a file can have this name, which costs less than a picture.

    Raises:
      ValueError: it is a folder or a pipe, or the file system allows no such name.
    """
    try:
        is_file = stat.S_ISREG(path.stat().st_mode)
    except FileNotFoundError:
        return
    except OSError as error:
        raise ValueError(f"cannot write to {path}: {error.strerror}") from None
    if not is_file:
        raise ValueError(f"cannot write to {path}: it is a folder or a pipe")


def file_name(prompt: str) -> str:
    """A prompt as part of a file's name: words and underscores."""
    name = re.sub(r"\W+", "_", prompt[:LONGEST_NAME])
    return name.encode()[:LARGEST_NAME].decode(errors="ignore").strip("_") or "image"


def saved(
    paths: Sequence[Path],
    sheet: Path | None,
    images: Iterable[np.ndarray],
    recipes: Iterable[Recipe],
    signer: Signer | None = None,
    fit: Callable[[Path, np.ndarray], bool] = lambda path, image: True,
) -> Iterator[Path]:
    """Writes images with their recipes, then the contact sheet, and yields the path of each.

    Each image is written as soon as it is there: whatever stops the next one, it is kept.

    Args:
      paths: files of the images, from `output_paths`.
      sheet: file of the contact sheet, or None.
      images: each uint8 [H, W, 3].
      recipes: one per image.
      signer: signs what is written.
      fit: whether an image may be written; one that may not is left out of the sheet, too.
    """
    drawn, begun = [], False
    for path, image, recipe in zip(paths, images, recipes, strict=True):
        if not fit(path, image):
            continue
        begun = bool(recipe.settings.image)
        write_signed(path, image, texts_of(recipe), signer, begun=begun)
        drawn.append(image)
        yield path
    if sheet is not None and drawn:
        write_signed(sheet, contact_sheet(np.stack(drawn)), {}, signer, begun=begun)
        yield sheet


def words_path(path: Path) -> Path:
    """The file beside a picture that shows where it looks at words."""
    return path.with_stem(f"{path.stem}_words")


def save_words(
    path: Path,
    picture: Path,
    maps: Mapping[str, np.ndarray],
    signer: Signer | None,
    *,
    begun: bool,
) -> None:
    """Writes a picture that was saved, with the maps of its words, as `words_path`."""
    write_signed(path, words_sheet(read_image(picture), maps), {}, signer, begun=begun)


def write_signed(
    path: Path,
    image: np.ndarray,
    texts: Mapping[str, str],
    signer: Signer | None,
    *,
    begun: bool,
) -> None:
    """Writes a picture with texts, signed if there is a signer.

    `begun` says whether it was made of another picture.
    """
    packed = encoder_of(path)(image, texts)
    if signer is not None:
        packed = signer.signed(packed, path.name, MADE_OF if begun else MADE)
    with replacing(path) as part:
        part.write_bytes(packed)


def model_hash(path: Path) -> str:
    """First ten hex digits of a model file's sha256; empty if it is not a file."""
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:10]


def adapter_hashes(settings: Settings) -> dict[str, str]:
    """The sha256 of each file, but the model, that an image is drawn with.

    Raises:
      FileNotFoundError: there is no such file.
    """
    places = {file: adapter_place(file) for file in adapters_of([settings]).files}
    for one in settings.ip_adapter:
        places[one.model] = place = adapter_place(one.model)
        if not faces_in(place).sees:
            encoder = weights_place(encoder_place(settings.image_encoder, one.model))
            places[str(encoder)] = encoder
    if settings.motion:
        places[settings.motion] = weights_place(Path(settings.motion))
    for one in settings.motion_lora:
        places[one.file] = adapter_place(one.file)
    if file := settings.upscaler_file:
        places[file] = upscaler_place(file)
    if is_learnt(settings.sampler):
        places[settings.sampler] = Path(settings.sampler)
    return {file: _file_hash(path, path.stat().st_mtime_ns) for file, path in places.items()}


@lru_cache(maxsize=64)
def _file_hash(path: Path, changed: int) -> str:
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
