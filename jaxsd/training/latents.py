"""`jaxsd cache-latents`: runs pictures and captions through the networks that are not trained.

Files are written one by one to a hidden folder next to the output, which is renamed to the output
when all are there. A pass that was stopped goes on with the next file.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import grain
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding
from tqdm import tqdm

from jaxsd.models import VAE
from jaxsd.parallel import EVERYWHERE, IMAGES, mesh_of, per_device
from jaxsd.sampling.program import Networks, Texts, encoded_texts
from jaxsd.text import Tokenizer
from jaxsd.training.cached import Index, Shard, is_cache, origin_of, read_index, write_index
from jaxsd.training.captioned import sizes_of
from jaxsd.training.captions import check_captions
from jaxsd.training.config import TrainConfig
from jaxsd.training.finetune import networks_of, opened
from jaxsd.training.folder import Folder, decoded, in_buckets
from jaxsd.training.packed import read_data
from jaxsd.training.records import packed, write_records
from jaxsd.types import Array, Params

A_FILE = 1024
"""Records in a file: 130 MB of float32 moments for pictures of 512 x 512."""

Forward = Callable[[Any], Any]
"""A tree of host arrays [n, ...] -> outputs of networks, [n, ...]."""


def cache_latents(config: TrainConfig, place: Path) -> Index:
    """Writes the folder `place`, which runs with this configuration can take as `data`.

    Raises:
      ValueError: the place exists already, or anything wrong with the model or the pictures.
    """
    if place.exists():
        raise ValueError(f"{place} is there already; remove it, or give another place with -o")
    if is_cache(config.data):
        raise ValueError(f"{config.data} holds latents; set data to a folder of pictures")
    folder = read_data(config.data, config.caption)
    check_captions(config.data, folder.texts, config.uncaptioned)
    model = opened(config)
    sizes = sizes_of(config, model.spec)
    texts = list(dict.fromkeys(["", *(text for own in folder.texts for text in own)]))
    making = _Making(
        place,
        Index(
            origin_of(config, model, config.caption),
            data=digest(folder),
            made_by=f"{config.model}, {config.dtype}",
            conditioned=bool(folder.conditioned.all()),
        ),
    )
    broken = folder.broken.names
    broken.extend(name for name in making.index.broken if name not in broken)

    networks, size = networks_of(config, model.spec), config.batch_size
    params = {name: model.params[name] for name in ("vae", "text")}
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf, config.dtype), params)
    embed = _on_devices(partial(_embedded, networks, config.dtype), params, size)
    with tqdm(total=len(texts), desc="captions", unit="") as bar:
        for name, rows in _files("captions", np.arange(len(texts))):
            records = _caption_records([texts[i] for i in rows], model.tokenizers, embed, size)
            making.add("captions", name, (0, 0), records, bar, folder)
    encode_pictures = _on_devices(partial(_moments, networks.vae, config.dtype), params, size)
    numbers = {text: number for number, text in enumerate(texts)}
    with tqdm(total=len(folder.names), desc="pictures", unit="") as bar:
        for sides, members in in_buckets(folder.sizes, sizes):
            for name, rows in _files("pictures-{}x{}".format(*sides), members):
                records = _picture_records(folder, rows, sides, numbers, encode_pictures, size)
                making.add("pictures", name, sides, records, bar, folder)
    making.finish(place)
    return making.index


class _Making:
    """An unfinished cache."""

    def __init__(self, place: Path, index: Index) -> None:
        """Continues an earlier pass over the same pictures, or starts over."""
        self.index = index
        self._folder = place.with_name(f".{place.name}.part")
        left = _left(self._folder)
        if left is not None and replace(left, pictures=(), captions=(), broken=()) == index:
            self.index = left
        else:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True, exist_ok=True)

    def add(
        self,
        kind: str,
        name: str,
        sides: tuple[int, int],
        records: Iterable[bytes],
        bar: tqdm,
        folder: Folder,
    ) -> None:
        """Writes a missing file and adds it to the index; `kind` is "pictures" or "captions"."""
        there = {shard.file: shard for shard in getattr(self.index, kind)}
        if name in there:
            bar.update(there[name].count)
            return
        count = write_records(self._folder / name, _counted(records, bar))
        shards = (*there.values(), Shard(name, count, *sides))
        self.index = replace(self.index, **{kind: shards}, broken=tuple(folder.broken.names))
        write_index(self._folder, self.index)

    def finish(self, place: Path) -> None:
        """Renames the hidden folder to its final name."""
        self._folder.replace(place)


def _left(folder: Path) -> Index | None:
    """The index of an earlier pass, if there is one."""
    try:
        return read_index(folder) if is_cache(folder) else None
    except ValueError:
        return None  # of another version of jaxsd


def _counted(records: Iterable[bytes], bar: tqdm) -> Iterator[bytes]:
    for record in records:
        yield record
        bar.update()


def digest(folder: Folder) -> str:
    """SHA-256 of the names, sizes and dates of files, and of captions; reads no pictures."""
    stats = [(str(file), file.stat()) for file in folder.stored]
    files = [(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats]
    return hashlib.sha256(json.dumps([files, folder.names, folder.texts]).encode()).hexdigest()


def _files(stem: str, rows: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Names of files, and the rows that go into each."""
    for number, own in enumerate(_chunks(rows, A_FILE)):
        yield f"{stem}-{number:05d}.array_record", own


def _chunks(rows: np.ndarray, size: int) -> list[np.ndarray]:
    return [rows[i : i + size] for i in range(0, len(rows), size)]


def _caption_records(
    texts: Sequence[str], tokenizers: Sequence[Tokenizer], embed: Forward, size: int
) -> Iterator[bytes]:
    for own in (texts[i : i + size] for i in range(0, len(texts), size)):
        ids = tuple(tokenizer(own) for tokenizer in tokenizers)
        context, pooled = embed(ids)
        for i, text in enumerate(own):
            arrays = {f"ids_{k}": one[i] for k, one in enumerate(ids)}
            arrays |= {"context": context[i], "pooled": pooled[i]}
            yield packed({"text": text}, arrays)


def _picture_records(
    folder: Folder,
    rows: np.ndarray,
    sides: tuple[int, int],
    numbers: dict[str, int],
    encode_pictures: Forward,
    size: int,
) -> Iterator[bytes]:
    """Pictures that can be read; they are decoded by threads while the device works."""
    chunks = _chunks(rows, size)
    read = partial(decoded, folder, sides=sides)
    loaded = grain.MapDataset.range(len(chunks)).map(lambda i: [read(row) for row in chunks[i]])
    for found in loaded.to_iter_dataset(grain.ReadOptions(num_threads=4, prefetch_buffer_size=4)):
        pictures = [picture for picture in found if picture is not None]
        if not pictures:
            continue
        moments = encode_pictures(np.stack([picture.pixels for picture in pictures]))
        for picture, own in zip(pictures, moments, strict=True):
            header = {
                "file_name": folder.names[picture.row],
                "original": folder.sizes[picture.row].tolist(),
                "corner": picture.corner,
                "captions": [numbers[text] for text in folder.texts[picture.row]],
            }
            arrays = {"moments": own}
            if picture.condition is not None:
                arrays["condition"] = picture.condition
            yield packed(header, arrays)


def _embedded(
    networks: Networks, dtype: str, params: Params, ids: tuple[Array, ...]
) -> tuple[Array, Array]:
    """Context [n, L, d] and pooled [n, p] of token ids; p is 0 where the U-Net takes none."""
    count = len(ids[0])
    texts = Texts(tuple(one[:, None] for one in ids), jnp.ones((count, 1)))
    context, pooled = encoded_texts(networks, params, texts)
    pooled = jnp.zeros((count, 1, 0)) if pooled is None else pooled
    return context[:, 0].astype(dtype), pooled[:, 0].astype(dtype)


def _moments(vae: VAE, dtype: str, params: Params, pictures: Array) -> Array:
    """Means and log variances [n, h, w, 2c] of the latents of uint8 pictures."""
    images = pictures.astype(jnp.float32) / 127.5 - 1.0
    moments = vae.apply({"params": params["vae"]}, images, method=VAE.encode)
    return jnp.concatenate(moments, axis=-1).astype(dtype)


def _on_devices(function: Callable[[Params, Any], Any], params: Params, size: int) -> Forward:
    """A function of parameters and arrays [n, ...], n at most `size`, as one compiled program.

    Each device of this host takes its share of the arrays.
    """
    mesh = mesh_of(devices=jax.local_devices())
    full = -(-size // mesh.size) * mesh.size
    params = jax.device_put(params, NamedSharding(mesh, EVERYWHERE))
    shared = NamedSharding(mesh, IMAGES)
    run = jax.jit(per_device(mesh, function, (EVERYWHERE, IMAGES), IMAGES))

    def forward(arrays: Any) -> Any:
        count = len(jax.tree.leaves(arrays)[0])
        filled = jax.tree.map(lambda x: np.resize(x, (full, *x.shape[1:])), arrays)
        return jax.tree.map(
            lambda x: np.asarray(x)[:count], run(params, jax.device_put(filled, shared))
        )

    return forward
