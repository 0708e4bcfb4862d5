"""Fetching a repository from the Hugging Face hub: only the files that will be read."""

import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from jaxsd.convert.files.weight_files import choose

_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*")
_PARTS = ("unet", "vae", "text_encoder", "text_encoder_2")
_SMALL = ("scheduler", "tokenizer", "tokenizer_2", *_PARTS)


def is_hub_id(source: str) -> bool:
    """Whether a string has the form of a repository's id: `owner/name`."""
    return _ID.fullmatch(source) is not None and not source.endswith(
        (".safetensors", ".ckpt", ".gguf")
    )


def wanted(names: Iterable[str]) -> list[str]:
    """Which files of a repository make up its model: configs, tokenizers, one set of weights."""
    folders: dict[str, set[str]] = {}
    for name in names:
        path = PurePosixPath(name)
        folders.setdefault(str(path.parent), set()).add(path.name)
    files = [name for name in ("model_index.json",) if name in folders.get(".", ())]
    for folder in _SMALL:
        inside = folders.get(folder, set())
        files += [
            f"{folder}/{name}"
            for name in sorted(inside)
            if name.endswith((".json", ".txt")) and ".index." not in name
        ]
        weights = choose(inside) if folder in _PARTS else None
        if weights is not None:
            files.append(f"{folder}/{weights}")
            files += [f"{folder}/{name}" for name in sorted(inside) if _shard_of(name, weights)]
    return files


def _shard_of(name: str, index: str) -> bool:
    """Whether a file is one of the shards of an index."""
    if ".index." not in index:
        return False
    stem, kind = re.fullmatch(r"(\w+(?:\.fp16)?)\.(safetensors|bin)\..*", index).groups()
    variant = ".fp16" if ".fp16." in index and not stem.endswith(".fp16") else ""
    return re.fullmatch(rf"{re.escape(stem + variant)}-\d+-of-\d+\.{kind}", name) is not None


def download(source: str) -> Path:
    """The folder of a hub repository in the local cache, after fetching what is missing there.

    Raises:
      ValueError: if it cannot be reached and is not in the cache, or is no diffusers repository.
    """
    # Imported here because only hub ids need it, and it is slow to import.
    import huggingface_hub

    try:
        # Not list_repo_files, which retries for half a minute without a network.
        siblings = huggingface_hub.HfApi().model_info(source).siblings or ()
        files = wanted(sibling.rfilename for sibling in siblings)
        if "model_index.json" not in files:
            raise ValueError(f"{source} on the hub is not a diffusers repository")
        return Path(huggingface_hub.snapshot_download(source, allow_patterns=files))
    except ValueError:
        raise
    except Exception as error:
        return _cached(source, error)


def _cached(source: str, error: Exception) -> Path:
    import huggingface_hub

    try:
        return Path(huggingface_hub.snapshot_download(source, local_files_only=True))
    except Exception:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(
            f"{source} is no file or folder here, and could not be fetched from the hub: {reason}"
        ) from error
