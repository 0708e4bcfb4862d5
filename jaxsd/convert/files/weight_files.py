"""Opening files of weights in any known format, and choosing among those of a folder."""

import warnings
from collections.abc import Collection
from os.path import isfile
from pathlib import Path, PurePosixPath

from jaxsd.convert.files.flax_file import ENDING, read_flax
from jaxsd.convert.files.gguf_file import MAGIC, read_gguf
from jaxsd.convert.files.safetensors_file import read_safetensors
from jaxsd.convert.files.tensors import FlatTree
from jaxsd.convert.files.torch_file import read_torch
from jaxsd.terminal import printable
from jaxsd.text_files import POINTER, pointer_line, read_json

_ENDINGS = (".safetensors", ".bin")
_FLAX = ("diffusion_flax_model.msgpack", "flax_model.msgpack")
_STEMS = ("diffusion_pytorch_model", "model", "pytorch_model")


def open_weights(path: Path) -> tuple[FlatTree, dict[str, str]]:
    """The tensors of one file by name, and the plain facts that the file states beside them.

    Raises:
      ValueError: if it is a git-lfs pointer, truncated, or of no format that holds weights.
      FileNotFoundError: if there is no such file.
    """
    with path.open("rb") as file:
        head = file.read(64)
    if head.startswith(POINTER):
        raise ValueError(pointer_line(path))
    if path.suffix == ENDING:  # of which the first byte may be that of a pickle
        return read_flax(path), {}
    if head.startswith(MAGIC):
        return read_gguf(path)
    pickled = head.startswith((b"PK\x03\x04", b"\x80"))
    if head[8:9] == b"{" or (path.suffix == ".safetensors" and not pickled):
        return read_safetensors(path)
    if pickled:
        return read_torch(path)
    raise ValueError(
        f"{path} holds no weights in a format known here (safetensors, PyTorch's, Flax's or GGUF)"
    )


def choose(names: Collection[str], non_ema: bool = False) -> str | None:
    """Which of a folder's file names to read: full precision before fp16, safetensors before bin,
    and Flax's msgpack last.

    Of shards and a whole file diffusers' networks take the shards, and transformers' the whole one.
    `non_ema` prefers the trained weights over their average (EMA), where a folder has both.
    """
    return next(iter(_candidates(names, non_ema)), None)


def _candidates(names: Collection[str], non_ema: bool) -> list[str]:
    """The files that `choose` chooses from, best first."""
    variants = ("non_ema", "", "fp16") if non_ema else ("", "fp16")
    found = [
        name
        for variant in variants
        for stem in _STEMS
        for suffix in ("safetensors", "bin")
        for name in _spellings(stem, suffix, f".{variant}" if variant else "")
        if name in names
    ]
    return found + [name for name in _FLAX if name in names]


def _spellings(stem: str, suffix: str, dot: str) -> tuple[str, ...]:
    whole = f"{stem}{dot}.{suffix}"
    shards = (f"{stem}.{suffix}.index{dot}.json", f"{stem}{dot}.{suffix}.index.json")
    shards = shards if dot else shards[:1]
    return (*shards, whole) if stem == _STEMS[0] else (whole, *shards)


def _tell_left_aside(folder: Path, names: Collection[str], chosen: str) -> None:
    """Says which files of the same weights are not read."""
    non_ema = ".non_ema" in chosen
    others = [
        name
        for name in _candidates(names, non_ema)
        if name != chosen and (".non_ema" in name) == non_ema
    ]
    if others:
        line = f"{folder}: {chosen} is read, and left aside are {', '.join(others)}"
        warnings.warn(printable(line), stacklevel=2)


def open_folder(folder: Path, non_ema: bool = False) -> FlatTree:
    """The tensors of one part of a diffusers folder.

    Raises:
      ValueError: if it has no weights, or its index names files that are not there.
    """
    names = {path.name for path in folder.glob("*")}
    name = choose(names, non_ema)
    if name is None:
        other = next((n for n in sorted(names) if n.endswith(_ENDINGS)), None)
        remedy = f"if {other} has them, name it {_STEMS[0]}{Path(other or '').suffix}"
        raise ValueError(
            f"{folder} has no weights; "
            + (remedy if other else "expected a .safetensors, .bin or .msgpack file")
        )
    _tell_left_aside(folder, names, name)
    if name.endswith(".json"):
        return _open_shards(folder / name)
    return open_weights(folder / name)[0]


def _open_shards(index: Path) -> FlatTree:
    files = read_json(index).get("weight_map")
    if not isinstance(files, dict) or not all(isinstance(name, str) for name in files.values()):
        raise ValueError(f"{index} has no weight_map, a table of tensors and the files they are in")
    tensors: FlatTree = {}
    for name in sorted(set(files.values())):
        if PurePosixPath(name).name != name or not isfile(index.parent / name):
            raise ValueError(printable(f"{index} names {name!r}, which is not beside it"))
        shard = open_weights(index.parent / name)[0]
        twice = next(iter(shard.keys() & tensors.keys()), None)
        if twice is not None:
            raise ValueError(printable(f"{index}: {twice!r} is in {name!r} and in another file"))
        tensors |= shard
    return tensors
