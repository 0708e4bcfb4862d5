"""The adapters of an image: files of LoRAs and embeddings, given by options or named in prompts."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from jaxsd.typed import nearest, parsed

FORM = "FILE[:UNET_WEIGHT[:TEXT_WEIGHT]]"
BUILT_IN = {
    "emoji-neon": "emoji_neon.safetensors",
    "emoji-teal": "emoji_teal.safetensors",
    "emoji-lcm-2step": "emoji_lcm_2step.safetensors",
}
"""LoRAs and an embedding inside the package, of the built-in model."""
ENDINGS = (".safetensors", ".pth", ".pt", ".bin", ".ckpt")
"""Of files of weights."""

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
_TAG = re.compile(r"<lora:(?P<name>[^<>:]+)(?P<weights>(:[^<>:]*)*)>")


@dataclass(frozen=True, order=True)
class Lora:
    """A file whose changes are added to the weights of U-Net and text encoders.

    Attributes:
      file: LoRA, LoCon, LoHa, LoKr, DoRA or differences.
      weight: of the changes of the U-Net.
      text_weight: of those of the text encoders; the same if it is not given.
    """

    file: str = ""
    weight: float = 1.0
    text_weight: float | None = None

    @classmethod
    def parse(cls, text: str) -> "Lora":
        """`FILE[:UNET_WEIGHT[:TEXT_WEIGHT]]`; what is no number belongs to the file's name.

        Raises:
          ValueError: no file, or a weight that is not finite.
        """
        file, weights = text, []
        while len(weights) < 2 and _NUMBER.fullmatch(file.rpartition(":")[2]) and ":" in file:
            file, _, last = file.rpartition(":")
            weights.insert(0, parsed(float, last, f"lora {text!r}:"))
        if not file:
            raise ValueError(f"lora {text!r} is not {FORM}")
        return cls(file, *weights)

    @property
    def weights(self) -> tuple[float, float]:
        """Of the U-Net, and of the text encoders."""
        return self.weight, self.weight if self.text_weight is None else self.text_weight

    def __str__(self) -> str:
        return ":".join([self.file, *map(str, self.weights)])


@dataclass(frozen=True, order=True)
class Embedding:
    """A file with the vectors of a word (textual inversion).

    Attributes:
      file: of webui, diffusers or the original code.
      name: what stands for it in prompts; empty for the name that the file states, or its own.
    """

    file: str = ""
    name: str = ""

    @classmethod
    def parse(cls, text: str) -> "Embedding":
        """`FILE` or `NAME=FILE`.

        Raises:
          ValueError: no file.
        """
        name, equals, file = text.partition("=")
        file, name = (file, name) if equals else (text, "")
        if not file or (equals and not name):
            raise ValueError(f"embedding {text!r} is not FILE or NAME=FILE")
        return cls(file, name)

    def __str__(self) -> str:
        return f"{self.name}={self.file}" if self.name else self.file


class Adapters(NamedTuple):
    """The adapters that images are drawn with."""

    lora: tuple[Lora, ...] = ()
    embedding: tuple[Embedding, ...] = ()

    @property
    def files(self) -> tuple[str, ...]:
        """Every file once."""
        return tuple(dict.fromkeys(one.file for one in (*self.lora, *self.embedding)))


def adapter_place(file: str) -> Path:
    """Where the file of an adapter lies, built-in names among them.

    Raises:
      FileNotFoundError: there is none.
    """
    name = BUILT_IN.get(file)
    path = Path(file) if name is None else Path(str(files("jaxsd") / "assets" / name))
    if not path.is_file():
        raise FileNotFoundError(
            f"there is no file {file!r}; lora is {FORM}, embedding is FILE or NAME=FILE, "
            f"ip_adapter is IMAGE:FILE[:WEIGHT[:FROM:TO]]; built-in are {', '.join(BUILT_IN)}"
        )
    return path


def upscaler_place(file: str) -> Path:
    """Where the file of a network that enlarges lies.

    Raises:
      FileNotFoundError: there is none.
    """
    path = Path(file)
    if not path.is_file():
        raise FileNotFoundError(f"hires_upscaler: there is no file {file!r}")
    return path


def without_tags(prompt: str) -> tuple[str, tuple[tuple[str, tuple[float, ...]], ...]]:
    """A prompt without its `<lora:NAME[:TEXT_WEIGHT[:UNET_WEIGHT]]>`, and their names and weights.

    The order is webui's; one weight is of both.

    Raises:
      ValueError: weights that are not one or two numbers.
    """
    tags = []
    for tag in _TAG.finditer(prompt):
        weights = tag["weights"].split(":")[1:]
        if len(weights) > 2 or not all(map(_NUMBER.fullmatch, weights)):
            raise ValueError(f"{tag[0]} is not <lora:NAME[:TEXT_WEIGHT[:UNET_WEIGHT]]>")
        tags.append((tag["name"], tuple(parsed(float, one, tag[0]) for one in weights)))
    return (_TAG.sub("", prompt).strip() if tags else prompt), tuple(tags)


def named_loras(prompt: str, folders: Sequence[str]) -> tuple[Lora, ...]:
    """The LoRAs that the tags of a prompt name.

    Raises:
      ValueError: a name without a file in the folders.
    """
    tags, found = without_tags(prompt)[1], []
    if tags and not folders:
        raise ValueError(f"<lora:{tags[0][0]}> names a LoRA; give the folder with --lora-folder")
    files = files_within(folders) if tags else {}
    for name, weights in tags:
        if name not in files:
            where = " or ".join(folders)
            close = f"; {nearest(name, files)}" if files else ""
            raise ValueError(f"<lora:{name}> names a LoRA, and there is none in {where}{close}")
        found.append(Lora(files[name], *reversed(weights)))
    return tuple(found)


def named_embeddings(texts: Iterable[str], folders: Sequence[str]) -> tuple[Embedding, ...]:
    """The embeddings of the folders whose names are words of the texts, in any case."""
    joined = "\n".join(texts).lower()
    return tuple(
        Embedding(file, name)
        for name, file in files_within(folders).items()
        if name.lower() in joined and re.search(rf"(?<!\w){re.escape(name.lower())}(?!\w)", joined)
    )


def files_within(folders: Sequence[str]) -> dict[str, str]:
    """Name without its ending -> file, of all files of weights in folders; the first one counts."""
    found: dict[str, str] = {}
    for folder in folders:
        try:
            changed = Path(folder).stat().st_mtime_ns
        except OSError as error:
            raise ValueError(f"folder {folder!r}: {error.strerror or error}") from None
        found = _within(folder, changed) | found
    return found


@lru_cache(maxsize=64)
def _within(folder: str, changed: int) -> dict[str, str]:
    """The files of a folder and its folders; `changed` is when a file was last added to it."""
    files = [path for path in Path(folder).rglob("*") if path.suffix.lower() in ENDINGS]
    return {path.stem: str(path) for path in sorted(files, reverse=True)}
