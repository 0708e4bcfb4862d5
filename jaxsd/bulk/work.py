"""Checks the rows of a run and divides them into units; without JAX."""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

import jaxsd
from jaxsd.bulk.config import BulkConfig
from jaxsd.bulk.plan import Unit, plan
from jaxsd.bulk.rows import Row, read_rows, refuse
from jaxsd.bulk.store import Records
from jaxsd.clips import check_clips
from jaxsd.convert import open_model, read_controlnet
from jaxsd.convert.files.tensors import FlatTree, flatten
from jaxsd.convert.refiner import open_refiner
from jaxsd.convert.safety_checker import check_checker
from jaxsd.convert.stored_model import StoredModel
from jaxsd.convert.tiny_vae import with_tiny_vae
from jaxsd.memory import check_drawing
from jaxsd.outputs import adapter_hashes
from jaxsd.provenance import Signer
from jaxsd.settings import beside


class Work(NamedTuple):
    """What to draw."""

    config: BulkConfig
    model: StoredModel
    rows: list[Row]
    units: list[Unit]
    skipped: Records  # lines of the manifest for rows that cannot be drawn
    signer: Signer | None


def checked_work(config: BulkConfig, *, skip_bad_rows: bool, say: Callable[[str], None]) -> Work:
    """Opens the model, checks every row, and plans.

    Args:
      config: of the run.
      skip_bad_rows: whether rows that cannot be drawn are noted in the manifest, not refused.
      say: called with a line about each refused row, up to a limit.

    Raises:
      ValueError: a model or a table that cannot be used, rows that cannot be drawn, or files that
        cannot sign.
      FileNotFoundError: no such model or table.
    """
    model = open_model(config.model, **config.reading)
    if config.taesd:
        model = with_tiny_vae(model, config.taesd)
    if config.safety_checker:
        check_checker(Path(config.safety_checker))
    signer = Signer(*map(Path, config.c2pa)) if config.c2pa else None
    rows, bad = read_rows(config, model.spec)
    if bad and not skip_bad_rows:
        refuse(bad, len(rows) + len(bad), say)
    for name in beside(row.settings for row in rows)[1]:
        open_refiner(name, model.spec)
    if rows:
        largest = max((row.settings for row in rows), key=lambda one: math.prod(one.drawn_size))
        check_drawing(largest, model.spec, images=config.batch_size, together=config.batch_size)
    sizes = {"batch_size": config.batch_size, "images_per_shard": config.images_per_shard}
    skipped = [{"line": line, "status": "refused", "error": error} for line, error in bad]
    units = plan(rows, model.spec, model.tokenizers, **sizes)
    check_clips([row.settings for row in rows], model.spec)
    check_whole_clips(units, config.batch_size)
    return Work(config, model, rows, units, skipped, signer)


def check_whole_clips(units: Sequence[Unit], batch_size: int) -> None:
    """Refuses calls of which a clip's frames would not be all.

    Raises:
      ValueError: naming the numbers.
    """
    for unit in units:
        if unit.rows[0].settings.motion and len(unit.rows) != batch_size:
            raise ValueError(
                f"rows with motion are the frames of clips, batch_size ({batch_size}) of each, and "
                f"a call has {len(unit.rows)}: make that batch_size, and let the prompts of a clip "
                "have as many chunks of 75 tokens, and as many parts"
            )


def adapter_files(work: Work) -> dict[str, str]:
    """sha256 of the files of LoRAs and embeddings, by their names."""
    hashes = [adapter_hashes(row.settings) for row in work.rows]
    return {name: found for own in hashes for name, found in sorted(own.items())}


def described(work: Work) -> dict[str, object]:
    """What must stay the same to continue a run: all that an image or its place depends on.

    Pictures that rows name are not read for it; the manifest has their hashes.
    """
    config, digest = work.config, hashlib.sha256()
    controls, refiners = beside(row.settings for row in work.rows)
    unet = work.model.spec.unet, work.model.tensors["unet"]  # some ControlNets store only changes
    for row in work.rows:
        digest.update(repr(row).encode())
    names = ("dtype", "batch_size", "format", "picture", "images_per_shard", "safety_checker")
    return {
        "version": jaxsd.__version__,
        "model_hash": weights_hash(work.model.tensors),
        "controlnets": {
            name: weights_hash({"": flatten(read_controlnet(name, unet=unet, dtype=None)[1])})
            for name in controls
        },
        "refiners": {
            name: weights_hash(open_refiner(name, work.model.spec).tensors) for name in refiners
        },
        "adapters": adapter_files(work),
        "prediction": work.model.spec.prediction,
        "rows": len(work.rows),
        "rows_hash": digest.hexdigest(),
        **{name: getattr(config, name) for name in names},
        "signed": bool(config.c2pa),
    }


def weights_hash(tensors: Mapping[str, FlatTree]) -> str:
    """sha256 of parameters as stored; it does not depend on the kind of file."""
    digest = hashlib.sha256()
    for part, tree in sorted(tensors.items()):
        for path, tensor in sorted(tree.items()):
            digest.update(f"{part}/{path} {tensor.shape} {tensor.dtype}\n".encode())
            digest.update(np.ascontiguousarray(tensor.read()).view(np.uint8).data)
    return digest.hexdigest()
