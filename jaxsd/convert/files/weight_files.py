"""Opening files of weights in any known format, and choosing among those of a folder."""

import json
from pathlib import Path, PurePosixPath

from jaxsd.convert.files.safetensors_file import read_safetensors
from jaxsd.convert.files.tensors import FlatTree
from jaxsd.convert.files.torch_file import read_torch

_LFS = b"version https://git-lfs"
_STEMS = ("diffusion_pytorch_model", "model", "pytorch_model")


def open_weights(path: Path) -> tuple[FlatTree, dict[str, str]]:
    """The tensors of one file by name, and the plain facts that the file states beside them.

    Raises:
      ValueError: if it is a git-lfs pointer, truncated, or of no format that holds weights.
      FileNotFoundError: if there is no such file.
    """
    with path.open("rb") as file:
        head = file.read(64)
    if head.startswith(_LFS):
        raise ValueError(
            f"{path} is a git-lfs pointer, not the weights; fetch them with `git lfs pull`"
        )
    pickled = head.startswith((b"PK\x03\x04", b"\x80"))
    if head[8:9] == b"{" or (path.suffix == ".safetensors" and not pickled):
        return read_safetensors(path)
    if pickled:
        return read_torch(path)
    raise ValueError(f"{path} holds no weights in a format known here (safetensors or PyTorch's)")


def choose(names: set[str], non_ema: bool = False) -> str | None:
    """Which of a folder's file names to read: full precision before fp16, safetensors before bin.

    `non_ema` prefers the trained weights over their average (EMA), where a folder has both.
    """
    variants = ("non_ema", "", "fp16") if non_ema else ("", "fp16")
    for variant in variants:
        for stem in _STEMS:
            for suffix in ("safetensors", "bin"):
                dot = f".{variant}" if variant else ""
                for name in (
                    f"{stem}{dot}.{suffix}",
                    f"{stem}.{suffix}.index{dot}.json",
                    f"{stem}{dot}.{suffix}.index.json",
                ):
                    if name in names:
                        return name
    return None


def open_folder(folder: Path, non_ema: bool = False) -> FlatTree:
    """The tensors of one part of a diffusers folder.

    Raises:
      ValueError: if it has no weights, or its index names files that are not there.
    """
    names = {path.name for path in folder.glob("*")}
    name = choose(names, non_ema)
    if name is None:
        flax = next((n for n in names if n.endswith(".msgpack")), None)
        raise ValueError(
            f"{folder} has no weights"
            + (f" but {flax}, Flax's old format, which is not read" if flax else "")
            + "; expected a .safetensors or .bin file"
        )
    if name.endswith(".json"):
        return _open_shards(folder / name)
    return open_weights(folder / name)[0]


def _open_shards(index: Path) -> FlatTree:
    try:
        files = set(json.loads(index.read_text())["weight_map"].values())
    except (ValueError, KeyError, AttributeError) as error:
        raise ValueError(f"{index} is not an index of weights: {error!r}") from error
    tensors: FlatTree = {}
    for name in sorted(map(str, files)):
        if PurePosixPath(name).name != name or not (index.parent / name).is_file():
            raise ValueError(f"{index} names {name!r}, which is not beside it")
        tensors |= open_weights(index.parent / name)[0]
    return tensors
