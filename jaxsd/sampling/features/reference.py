"""Reference attention: self-attention looks at a picture that is noised as far as the sample is.

Cross-frame attention (Khachatryan et al. 2023, Text2Video-Zero, equation 8), whose first frame is a
picture that is drawn already; with a share, as between own and first frame.
"""

from collections.abc import Callable
from typing import NamedTuple

from jaxsd.models.openings import Path, attention_by
from jaxsd.sampling.call import Answer, Call, Networks, UNetCall, branched
from jaxsd.sampling.features.feature import Beginning, Feature
from jaxsd.sampling.latents import mean_of
from jaxsd.sampling.loop import Memory, Step, per_image
from jaxsd.types import Array, Params

Attend = Callable[[Array, Array, Array], Array]
"""(q, k, v), each [N, L, heads, d] -> like q."""


class Noised(NamedTuple):
    """A picture's latents, and the noise that each row adds to them."""

    latents: Array  # [B, h, w, c] float32, scaled
    noise: Array  # [B, h, w, c] float32, that of the image


def hold(networks: Networks, params: Params, given: Array, beginning: Beginning) -> Noised:
    """Encodes pictures [B, H, W, 3] in [-1, 1]."""
    return Noised(mean_of(networks, params, given), beginning.noise)


def wrap(networks: Networks, params: Params, held: Noised, unet: UNetCall) -> UNetCall:
    """Runs the U-Net for the picture, and again with the picture's keys and values.

    The column `reference` [B] has the share of what they give in the output of self-attention.
    """

    def changed(call: Call, step: Step, memory: Memory) -> tuple[Answer, Memory]:
        row, share = step.row, step.columns["reference"]
        branches = len(call.x) // len(share)
        noised = per_image(row.level[:, 0], held.latents) + per_image(row.level[:, 1], held.noise)
        whole = branched(per_image(row.c_in, noised), branches)
        picture = call._replace(x=call.seen(whole), deep=None)  # those kept are the sample's
        shares = branched(share, branches)
        seen: dict[Path, tuple[Array, Array]] = {}

        def keep(path: Path, attend: Attend, q: Array, k: Array, v: Array) -> Array:
            if path[-1] == "attn1":
                seen[path] = k, v
            return attend(q, k, v)

        def look(path: Path, attend: Attend, q: Array, k: Array, v: Array) -> Array:
            own = attend(q, k, v)
            if path not in seen:
                return own
            return own + per_image(shares.astype(own.dtype), attend(q, *seen[path]) - own)

        with attention_by(keep):
            unet(picture, step, memory)
        with attention_by(look):
            return unet(call, step, memory)

    return changed


FEATURE = Feature(hold=hold, wrap=wrap)
