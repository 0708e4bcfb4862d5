"""Hypernetworks of webui: tokens are changed before keys and values are made of them."""

from jaxsd.models.hypernet import change_of
from jaxsd.models.openings import Path, projected_by
from jaxsd.sampling.call import Answer, Call, Networks, UNetCall, branched
from jaxsd.sampling.features.feature import Feature
from jaxsd.sampling.loop import Memory, Step, per_image
from jaxsd.types import Array, Params


def wrap(networks: Networks, params: Params, held: None, unet: UNetCall) -> UNetCall:
    """Adds what hypernetworks give, one after the other, by the column `hypernet` [B, H].

    Each knows the layers by the width of their tokens.
    """
    nets = tuple(zip(networks.hypernets, params["hypernet"], strict=True))

    def changed(call: Call, step: Step, memory: Memory) -> tuple[Answer, Memory]:
        strengths = step.columns["hypernet"]
        strengths = branched(strengths, len(call.x) // len(strengths))

        def change(path: Path, tokens: Array) -> Array:
            if path[-2] not in ("attn1", "attn2"):  # of another feature's layers
                return tokens
            for number, (config, trees) in enumerate(nets):
                if (own := trees.get(str(tokens.shape[-1]))) is not None:
                    added = change_of(config, own[path[-1]], tokens)
                    tokens = tokens + per_image(strengths[:, number], added).astype(tokens.dtype)
            return tokens

        with projected_by(change):
            return unet(call, step, memory)

    return changed


FEATURE = Feature(wrap=wrap)
