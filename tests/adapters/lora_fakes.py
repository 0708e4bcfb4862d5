"""LoRAs of tiny models, the same on every machine."""

from collections.abc import Sequence

import jax
import numpy as np
from tiny_models import abstract_text, abstract_unet, uniform

from jaxsd.adapters.kinds import Factors
from jaxsd.adapters.lora import Lora, targets
from jaxsd.config import ModelSpec
from jaxsd.types import Params

WHOLE = (r"unet/.*(attn|ff/|proj_|conv|time_emb)", r"unet/(time|add)_embedding", "text/")


def abstract_params(spec: ModelSpec) -> Params:
    """Shapes of the networks that a LoRA may adapt."""
    return {
        "unet": abstract_unet(spec.unet),
        "text": [abstract_text(config) for config in spec.text],
    }


def random_factors(path: str, shape: tuple[int, ...], rank: int, alpha: float) -> Factors:
    """Factors of a kernel, of variance 1."""
    ones = (1,) * (len(shape) - 2)
    return {
        "down": uniform(f"{path}/down", (*shape[:-1], rank)),
        "up": uniform(f"{path}/up", (*ones, rank, shape[-1])),
        "alpha": np.float32(alpha),
    }


def random_lora(
    spec: ModelSpec,
    patterns: Sequence[str] = WHOLE,
    ranks: Sequence[int] = (2,),
    alphas: Sequence[float] = (2.0,),
) -> Lora:
    """A LoRA of a model; ranks and alphas go round."""
    params = abstract_params(spec)
    lora = {}
    for n, path in enumerate(targets(params, patterns)):
        shape = leaf(params, path).shape
        factors = random_factors(path, shape, ranks[n % len(ranks)], alphas[n % len(alphas)])
        lora[path] = factors
    return lora


def leaf(tree: Params, path: str) -> jax.Array:
    """The array at a path."""
    for name in path.split("/"):
        tree = tree[int(name)] if isinstance(tree, list) else tree[name]
    return tree
