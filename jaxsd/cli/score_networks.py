"""What `jaxsd score` looks with: feature networks on the devices of this host."""

import secrets
import sys
from typing import Any

import jax
import numpy as np
from jax.experimental.multihost_utils import broadcast_one_to_all

from jaxsd.convert.clip import read_clip
from jaxsd.convert.inception import FID_CLASSES, read_inception
from jaxsd.parallel import images_per_step, mesh_of
from jaxsd.score.networks import clip_network, inception_network, weights_hash


def process() -> tuple[int, int, int]:
    """Number of this host, how many there are, and a number that is this run's on all of them."""
    run = broadcast_one_to_all(np.uint32(secrets.randbits(32)))
    return jax.process_index(), jax.process_count(), int(run)


def loaded(inception: str | None, clip: str | None, batch_size: int) -> tuple[dict[str, Any], str]:
    """The networks in files, for `jaxsd.score.survey`, and the hash of Inception's weights.

    Args:
      batch_size: pictures for each device.
    """
    mesh = mesh_of(devices=jax.local_devices())
    networks: dict[str, Any] = {"batch": batch_size * images_per_step(mesh)}
    weights = ""
    if inception is not None:
        params, classes = read_inception(inception)
        if classes not in (0, FID_CLASSES):
            print(
                f"{inception} has {classes} classes, FID's weights have {FID_CLASSES}: its numbers "
                "can be compared among themselves only",
                file=sys.stderr,
            )
        weights = weights_hash(params)
        networks["inception"] = inception_network(params, mesh)
    if clip is not None:
        networks["clip"] = clip_network(read_clip(clip), mesh)
    return networks, weights
