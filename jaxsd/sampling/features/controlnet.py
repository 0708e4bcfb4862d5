"""ControlNets (Zhang et al. 2023) and T2I-Adapters (Mou et al. 2023): both add to the U-Net."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial, reduce
from typing import Any

import jax
import jax.numpy as jnp

from jaxsd.config import UNetConfig
from jaxsd.models.openings import Path, outputs_by
from jaxsd.models.t2i_adapter import T2IAdapter, places
from jaxsd.parallel import gather
from jaxsd.sampling.call import Answer, Call, Networks, UNetCall, branched
from jaxsd.sampling.features.feature import Beginning, Feature
from jaxsd.sampling.loop import Memory, Step, per_image
from jaxsd.types import Array, Params


def hold(
    networks: Networks, params: Params, given: tuple[Array, ...], beginning: Beginning
) -> tuple[Any, ...]:
    """What each network sees of its pictures [B, H, W, 3] in [0, 1]."""
    return tuple(
        net.seen(_tree(networks, params, i), image)
        for i, (net, image) in enumerate(zip(networks.controlnets, given, strict=True))
    )


def wrap(networks: Networks, params: Params, held: tuple[Any, ...], unet: UNetCall) -> UNetCall:
    """Adds what all networks give, weighted by the column `controlnet` [B, C], or [B, C, K].

    ControlNets run in each row and give residuals; the features of T2I-Adapters stay the same.
    """

    def changed(call: Call, step: Step, memory: Memory) -> tuple[Answer, Memory]:
        branches = len(call.x) // len(step.row.number)
        residuals = [] if call.residuals is None else [call.residuals]
        features: list[tuple[Array, ...]] = []
        for i, (net, seen) in enumerate(zip(networks.controlnets, held, strict=True)):
            weight = step.columns["controlnet"][:, i]
            weight = weight.reshape(-1) if weight.ndim > 1 else branched(weight, branches)
            given = call.seen(jax.tree.map(partial(branched, branches=branches), seen))
            if isinstance(net, T2IAdapter):
                features.append(jax.tree.map(partial(per_image, weight), given))
                continue
            given = net.apply(
                {"params": _tree(networks, params, i)},
                call.x,
                call.timestep,
                call.context,
                hint=given.hint,
                added_time=given.time,
                pooled=call.pooled,
                time_ids=call.time_ids,
            )
            residuals.append(jax.tree.map(partial(per_image, weight), given))
        with _added(networks.unet.config, _sum(features)):
            return unet(call._replace(residuals=_sum(residuals)), step, memory)

    return changed


def _sum(trees: Sequence[Any]) -> Any:
    return reduce(partial(jax.tree.map, jnp.add), trees) if trees else None


def _added(config: UNetConfig, features: tuple[Array, ...] | None) -> AbstractContextManager[None]:
    """While it is open, a U-Net adds features [N, h_i, w_i, c_i] at its `places`.

    Deep features that are taken from an earlier row have them already.
    """
    if features is None:
        return nullcontext()
    given = dict(zip((path for path, *_ in places(config)), features, strict=False))

    def add(path: Path, out: Any) -> Any:
        if (feature := given.get("/".join(path))) is None:
            return out
        x, skips = out if isinstance(out, tuple) else (out, [])
        if x.shape != feature.shape:  # the outermost level alone, which does not halve
            return out
        x = x + feature.astype(x.dtype)
        return (x, [*skips[:-1], x]) if skips else x

    return outputs_by(add)


def _tree(networks: Networks, params: Params, i: int) -> Params:
    return gather(params["controlnet"][i], f"controlnet/{i}", networks.mesh)


FEATURE = Feature(hold=hold, wrap=wrap)
