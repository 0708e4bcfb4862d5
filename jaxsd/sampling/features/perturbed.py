"""Guidance away from a branch whose self-attention is changed in the middle of the U-Net."""

from collections.abc import Callable

from jaxsd.models.openings import Path, attention_by, is_self_attention_of_middle
from jaxsd.sampling.call import Answer, Call, Networks, UNetCall, of_last_branch
from jaxsd.sampling.features.feature import Feature
from jaxsd.sampling.loop import Memory, Step
from jaxsd.types import Array, Params

Attend = Callable[[Array, Array, Array], Array]
"""(q, k, v), each [N, L, heads, d] -> like q."""


def perturbed(name: str, change: Callable[[Array, Attend, Array, Array, Array], Array]) -> Feature:
    """The feature of that name, whose column [B] says in which rows the last branch is changed.

    Args:
      name: of `FEATURES`.
      change: (last, attend, q, k, v) -> what the layers give, where `last` [N, 1, 1, 1] bool is
        True for calls of the last branch.
    """

    def wrap(networks: Networks, params: Params, held: None, unet: UNetCall) -> UNetCall:
        def changed(call: Call, step: Step, memory: Memory) -> tuple[Answer, Memory]:
            rows = step.columns[name]
            last = of_last_branch(rows, len(call.x) // len(rows))[:, None, None, None]

            def attended(path: Path, attend: Attend, q: Array, k: Array, v: Array) -> Array:
                if is_self_attention_of_middle(path):
                    return change(last, attend, q, k, v)
                return attend(q, k, v)

            with attention_by(attended):
                return unet(call, step, memory)

        return changed

    return Feature(wrap=wrap)
