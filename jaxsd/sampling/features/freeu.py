"""FreeU (Si et al. 2023): stronger deep features, and skips with less of their lowest frequencies.

Version 2 is the authors' later one, which webui and ComfyUI have: the factor of deep features
follows their mean over channels, and the width of the features says which factor is theirs.
Version 1, as in diffusers, has one factor for all pixels of an up block; the first two blocks have
one.
"""

from collections.abc import Callable
from functools import partial

import jax.numpy as jnp
import numpy as np

from jaxsd.models.openings import Path, joins_by
from jaxsd.sampling.call import Answer, Call, Networks, UNetCall, branched
from jaxsd.sampling.features.feature import Feature
from jaxsd.sampling.loop import Memory, Step
from jaxsd.types import Array, Params


def wrap(networks: Networks, params: Params, held: None, unet: UNetCall) -> UNetCall:
    """Changes features and skips where they are joined.

    The column `freeu` [B, 5] has b1, b2, s1, s2 and the version.
    """
    width = networks.unet.config.levels[0].channels

    def changed(call: Call, step: Step, memory: Memory) -> tuple[Answer, Memory]:
        numbers = step.columns["freeu"]
        numbers = branched(numbers, len(call.x) // len(numbers))
        with joins_by(partial(_joined, numbers, width)):
            return unet(call, step, memory)

    return changed


def _joined(
    numbers: Array, width: int, path: Path, join: Callable[..., Array], x: Array, skip: Array
) -> Array:
    """[N, h, w, c] and a skip; `width` is that of the U-Net's outermost level."""
    stages = (
        {"up_blocks_0": 0, "up_blocks_1": 1}.get(path[-1]),
        {4: 0, 2: 1}.get(x.shape[-1] / width),
    )
    if stages == (None, None):
        return join(x, skip)
    is_second = (numbers[:, 4] == 2)[:, None, None, None]

    def factor(first: int) -> Array:
        ones = jnp.ones((len(x), 1, 1, 1))
        one, two = (
            ones if stage is None else numbers[:, first + stage, None, None, None]
            for stage in stages
        )
        return jnp.where(is_second, two, one)

    b, s = factor(0), factor(2)
    share = jnp.where(is_second, _mean_in_range(x.astype(jnp.float32)), 1)
    half = x.shape[-1] // 2
    stronger = x[..., :half] * ((b - 1) * share + 1)
    x = jnp.concatenate([stronger.astype(x.dtype), x[..., half:]], axis=-1)
    skip = skip + ((s - 1) * lowest_frequencies(skip.astype(jnp.float32))).astype(skip.dtype)
    return join(x, skip)


def _mean_in_range(x: Array) -> Array:
    """The mean over channels, brought to 0 to 1 for each image, [N, h, w, 1]."""
    mean = x.mean(-1).reshape(len(x), -1)
    ends = jnp.stack([mean.argmin(1), mean.argmax(1)], axis=1)
    least, most = jnp.take_along_axis(mean, ends, axis=1).T[..., None]
    share = (mean - least) / jnp.maximum(most - least, 1e-12)
    return share.reshape(*x.shape[:3], 1)


def lowest_frequencies(x: Array) -> Array:
    """The part of [N, h, w, c] whose frequencies are 0 or -1 along both sides, real.

    It is what a Fourier transform, a mask of 2 x 2 in the middle of the shifted spectrum and the
    transform back make.
    """
    rows, columns = (np.exp(-2j * np.pi * np.outer(np.arange(n), [0, 1]) / n) for n in x.shape[1:3])
    rows, columns = rows.astype(np.complex64), columns.astype(np.complex64)
    product = partial(jnp.einsum, precision="highest")
    spectrum = product("nhwc,hk,wl->nklc", x.astype(jnp.complex64), rows.conj(), columns.conj())
    return product("nklc,hk,wl->nhwc", spectrum, rows, columns).real / (len(rows) * len(columns))


FEATURE = Feature(wrap=wrap)
