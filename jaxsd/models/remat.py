"""What the blocks of a network keep of the forward pass for their gradients: policies by name."""

from collections.abc import Callable
from typing import Any

import jax
from flax import linen as nn

Policy = Callable[..., Any]
"""(primitive, its arguments) -> whether its result is kept."""


def _is_convolution(primitive: Any, *_: Any, **__: Any) -> bool:
    return primitive.name == "conv_general_dilated"


REMAT: dict[str, Policy | None] = {
    "none": None,
    # Results of products and convolutions with parameters are kept. Norms, activations and
    # attention, whose weights grow with the square of the pixels, are recomputed.
    "minimal": jax.checkpoint_policies.save_from_both_policies(
        jax.checkpoint_policies.dots_with_no_batch_dims_saveable, _is_convolution
    ),
    "full": jax.checkpoint_policies.nothing_saveable,
}
"""Name, as in MaxText's `remat_policy` -> policy; `None` keeps all, "full" only the input."""


def rematerialised(block: type[nn.Module], name: str) -> type[nn.Module]:
    """The block; its gradient recomputes what the policy of that name does not keep.

    Its parameters keep their paths if the module is named (Chen et al. 2016, "Training deep nets
    with sublinear memory cost").
    """
    policy = REMAT[name]
    return block if policy is None else nn.remat(block, policy=policy)
