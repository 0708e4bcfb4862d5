"""Where a graph finds models and pictures by their names, and where it puts what it makes."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from jaxsd.config import ModelSpec
from jaxsd.convert.files.tensors import computed_in
from jaxsd.executables import IN_MEMORY, Executables
from jaxsd.terminal import printable
from jaxsd.typed import nearest
from jaxsd.types import Array

FOLDERS: dict[str, tuple[str, ...]] = {
    "checkpoints": ("checkpoints",),
    "diffusion_models": ("diffusion_models", "unet"),
    "text_encoders": ("text_encoders", "clip"),
    "vae": ("vae",),
    "loras": ("loras",),
    "embeddings": ("embeddings",),
    "controlnet": ("controlnet", "t2i_adapter"),
    "upscale_models": ("upscale_models",),
    "clip_vision": ("clip_vision",),
    "photomaker": ("photomaker",),
    "style_models": ("style_models",),
    "hypernetworks": ("hypernetworks",),
    "gligen": ("gligen",),
    "diffusers": ("diffusers",),
}
"""Kind of model -> the folders that it lies in, below ComfyUI's `models`."""
BUILT_IN = {"checkpoints": ("emoji",), "controlnet": ("emoji-edges",)}
"""Models inside of the package, by kind."""
PICTURES = (".png", ".webp", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff")
"""Endings of pictures that a graph may load."""
MOST_NAMES = 1000
"""Names of saved pictures of which the newest number is remembered."""
TEMPORARY = "temp"
"""The folder of previews below the outputs."""
_PLACE = re.compile(r"\s*\[(input|output|temp)\]$")
_NUMBERED = re.compile(r"_(\d{5,})_?\.\w+$")


def said_nothing(line: str) -> None:
    """Says nothing."""


def counted_nothing(done: int, rows: int) -> None:
    """Shows nothing."""


def showed_nothing(spec: ModelSpec, estimate: Array) -> None:
    """Shows nothing."""


def opened_nothing(source: str) -> None:
    """No model is in memory."""


@dataclass
class Workspace:
    """Folders, and how a graph is run.

    Attributes:
      models: folders as ComfyUI's `models`, each with `checkpoints`, `loras`, ....
      extra: kind -> more folders, from `extra_model_paths.yaml`.
      named: name in a graph, or a kind of model for all of its names, -> file, folder, built-in
        name or hub id.
      inputs: the folder of pictures to load.
      outputs: the folder of pictures that are saved.
      dtype: what networks compute in, or "int8": float32, with kernels in 8 bits.
      reading: options of `open_model`, for files that do not say what they are.
      noise: "cuda" or "torch": where ComfyUI drew the noise that samplers add after the first, on
        an NVIDIA GPU or on a CPU. The first noise is always a CPU's.
      programs: runs the compiled programs.
      progress: is told of network calls done, of so many of a sampler.
      shows: is given what a sampler's picture may become, as scaled latents [B, h, w, c].
      closed: whether pictures are read from its folders alone, as for graphs of other people.
      opened: source -> a model that is in memory already, as `Pipeline`; None if it is not.
      texts: what saved pictures carry, by name.
    """

    models: Sequence[Path] = ()
    extra: Mapping[str, Sequence[Path]] = field(default_factory=dict)
    named: Mapping[str, str] = field(default_factory=dict)
    inputs: Path = Path("input")
    outputs: Path = Path("output")
    dtype: str = "float32"
    reading: Mapping[str, Any] = field(default_factory=dict)
    noise: str = "cuda"
    programs: Executables = IN_MEMORY
    progress: Callable[[int, int], Any] = counted_nothing
    shows: Callable[[ModelSpec, Array], Any] = showed_nothing
    closed: bool = False
    opened: Callable[[str], Any] = opened_nothing
    texts: Mapping[str, str] = field(default_factory=dict)
    written: list[Path] = field(default_factory=list)
    numbers: dict[Path, int] = field(default_factory=dict)  # by `new_file`: the newest of a name

    @cached_property
    def _found(self) -> dict[str, dict[str, Path]]:
        return {}

    @property
    def computes_in(self) -> str:
        """What networks compute in."""
        return computed_in(self.dtype)

    def anew(self) -> "Workspace":
        """The same, with files that are new since it last looked."""
        return replace(self)

    def model(self, kind: str, name: str) -> str:
        """What a name of a model stands for: a file or folder, a built-in name or a hub id.

        Raises:
          FileNotFoundError: nothing; the message says where was looked, and how to map the name.
        """
        name = name.replace("\\", "/")
        for known in (name, name.rpartition("/")[2], kind):
            if known in self.named:
                return self.named[known]
        if name in BUILT_IN.get(kind, ()):
            return name
        files = self.files(kind)
        short = {key.rpartition("/")[2]: path for key, path in reversed(files.items())}
        if found := files.get(name) or short.get(name.rpartition("/")[2]):
            return str(found)
        where = ", ".join(map(str, self.folders(kind))) or "no folder; give --models"
        close = f"; {nearest(name, files)}" if files else ""
        raise FileNotFoundError(
            f"no {kind} named {printable(name, 80)!r} in {where}{close}; or say what it stands "
            f"for: --map {printable(name, 80)}=FILE"
        )

    def embedding(self, name: str) -> str:
        """The file of an embedding, whose name may lack its ending.

        Raises:
          FileNotFoundError: there is none.
        """
        files = self.files("embeddings")
        whole = next((one for one in files if one.rpartition(".")[0] == name), name)
        return self.model("embeddings", whole)

    def files(self, kind: str) -> dict[str, Path]:
        """Names, as graphs have them, of a kind of model -> files, and folders of diffusers."""
        if kind not in self._found:
            found: dict[str, Path] = {}
            for folder in self.folders(kind):
                named = {path.relative_to(folder).as_posix(): path for path in _models(folder)}
                found = named | found
            self._found[kind] = found
        return self._found[kind]

    def names(self, kind: str) -> list[str]:
        """The names that a graph may give a kind of model: files, and what else is known."""
        mapped = self.named if kind == "checkpoints" else ()
        found = {*self.files(kind), *BUILT_IN.get(kind, ()), *mapped} - FOLDERS.keys()
        return sorted(found)

    def pictures(self) -> list[str]:
        """The names of the pictures in the folder of inputs."""
        paths = self.inputs.rglob("*") if self.inputs.is_dir() else ()
        found = (one for one in paths if one.is_file() and one.suffix.lower() in PICTURES)
        return sorted(one.relative_to(self.inputs).as_posix() for one in found)

    def folders(self, kind: str) -> list[Path]:
        """The folders of a kind of model that there are."""
        own = [folder / name for folder in self.models for name in FOLDERS[kind]]
        return [folder for folder in (*own, *self.extra.get(kind, ())) if folder.is_dir()]

    def picture(self, name: str) -> Path:
        """The file of a picture that a graph names: of the inputs, or of the current folder.

        Raises:
          FileNotFoundError: there is none.
        """
        if name in self.named:
            return _file(self.named[name], "picture")
        place = _PLACE.search(name)
        name = _PLACE.sub("", name).replace("\\", "/")
        folder = self.outputs if place and place[1] != "input" else self.inputs
        if place and place[1] == "temp":
            folder = folder / TEMPORARY
        for path in (folder / name, *([] if self.closed else [Path(name)])):
            inside = not self.closed or path.resolve().is_relative_to(folder.resolve())
            if inside and path.is_file():
                return path
        raise FileNotFoundError(
            f"no picture {printable(name, 80)!r} in {folder}; give its folder by --input, or the "
            f"picture by --map {printable(name, 80)}=FILE"
        )

    def new_file(self, prefix: str, folder: str = "", ending: str = ".png") -> Path:
        """The next free name PREFIX_00001_.png, or with another ending, in the folder of outputs.

        The folder is listed for the first file of a name alone: it may have ten thousand others.

        Raises:
          ValueError: a prefix that leads out of it.
        """
        base = (self.outputs / folder).resolve()
        path = (base / prefix.replace("\\", "/")).resolve()
        if not path.is_relative_to(base) or path == base:
            raise ValueError(f"filename_prefix {printable(prefix, 80)!r} leads out of {base}")
        path.parent.mkdir(parents=True, exist_ok=True)
        name = path.with_name(f"{path.name}{ending}")
        number = self.numbers.get(name) or max(_taken(path, ending), default=0) + 1
        while (file := path.with_name(f"{path.name}_{number:05}_{ending}")).exists():
            number += 1
        if len(self.numbers) >= MOST_NAMES:
            self.numbers.clear()
        self.numbers[name] = number
        return file


def _taken(path: Path, ending: str) -> list[int]:
    """The numbers that files PATH_00001_.png have, with an ending."""
    return [
        int(number[1])
        for other in path.parent.glob(f"{_escaped(path.name)}_*{ending}")
        if (number := _NUMBERED.search(other.name)) and other.name == f"{path.name}{number[0]}"
    ]


def _file(name: str, what: str) -> Path:
    path = Path(name)
    if not path.is_file():
        raise FileNotFoundError(f"no {what} {name!r}")
    return path


def _models(folder: Path) -> Iterator[Path]:
    endings = (".safetensors", ".ckpt", ".pt", ".pth", ".bin", ".sft", ".gguf")
    for path in sorted(folder.rglob("*")):
        is_folder = path.is_dir() and any((path / n).is_file() for n in _INDEXES)
        if is_folder or path.suffix.lower() in endings:
            yield path


_INDEXES = ("model_index.json", "config.json")


def _escaped(name: str) -> str:
    return re.sub(r"([*?\[])", r"[\1]", name)
