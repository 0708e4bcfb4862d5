"""Loads networks onto the devices of this host, and finds the hosts that work together."""

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.experimental.multihost_utils import broadcast_one_to_all

from jaxsd.convert.clip import read_clip
from jaxsd.convert.inception import FID_CLASSES, read_inception
from jaxsd.parallel import images_per_step, mesh_of
from jaxsd.score.findings import Hosts
from jaxsd.score.networks import clip_network, inception_network, weights_hash


def hosts_together(folder: Path) -> Hosts:
    """All hosts that JAX knows of, with a random id of this run, which is the same on each."""
    run = int(broadcast_one_to_all(np.uint32(secrets.randbits(32))))
    return Hosts(jax.process_index(), jax.process_count(), folder, f"{run:08x}")


def loaded(
    inception: str | None, clip: str | None, batch_size: int, say: Callable[[str], None]
) -> tuple[dict[str, Any], str]:
    """The networks in files, for `jaxsd.score.survey`, and the hash of Inception's weights.

    Args:
      inception: file of its weights, or None.
      clip: a CLIP of transformers, or None.
      batch_size: pictures for each device.
      say: told if numbers cannot be compared with published ones.
    """
    mesh = mesh_of(devices=jax.local_devices())
    networks: dict[str, Any] = {"batch": batch_size * images_per_step(mesh)}
    weights = ""
    if inception is not None:
        params, classes = read_inception(inception)
        if classes not in (0, FID_CLASSES):
            say(
                f"{inception} has {classes} classes, FID's weights have {FID_CLASSES}: its numbers "
                "can be compared among themselves only"
            )
        weights = weights_hash(params)
        networks["inception"] = inception_network(params, mesh)
    if clip is not None:
        networks["clip"] = clip_network(read_clip(clip), mesh)
    return networks, weights
