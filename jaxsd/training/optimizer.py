"""The learning rate schedule, and the optimisers by name."""

from collections.abc import Callable
from typing import Any

import jax
import optax

from jaxsd.training.config import TrainConfig
from jaxsd.types import Array, Params

_NEWTON_SCHULZ = ((3.4445, -4.7750, 2.0315),) * 5
"""A row for each iteration (Jordan et al. 2024); in this form optax compiles them as one loop."""


def learning_rate(config: TrainConfig) -> optax.Schedule:
    """Rises linearly, stays, falls linearly to zero (Hu et al. 2024, "MiniCPM", section 4.3)."""
    start = config.steps - config.decay_steps
    of_step = optax.join_schedules(
        [
            optax.linear_schedule(0.0, config.learning_rate, config.warmup_steps),
            optax.constant_schedule(config.learning_rate),
            optax.linear_schedule(config.learning_rate, 0.0, max(config.decay_steps, 1)),
        ],
        [config.warmup_steps, start],
    )
    return lambda update: of_step(update // config.updates_per_step)


def adamw(config: TrainConfig) -> optax.GradientTransformation:
    """AdamW (Loshchilov and Hutter 2019), with PyTorch's defaults except for the weight decay."""
    return optax.adamw(learning_rate(config), weight_decay=config.weight_decay)


def adafactor(config: TrainConfig) -> optax.GradientTransformation:
    """Adafactor (Shazeer and Stern 2018): second moments of matrices as one row and one column.

    Its state is about 1/1000 of the size of the weights; AdamW's is twice their size.
    """
    return optax.adafactor(
        learning_rate(config), weight_decay_rate=config.weight_decay or None, clipping_threshold=1.0
    )


def muon(config: TrainConfig) -> optax.GradientTransformation:
    """Muon (Jordan et al. 2024) for kernels, Adam for vectors and embeddings.

    A convolution kernel counts as a matrix [h * w * in, out]. The update's root mean square is 0.2,
    as Adam's (Liu et al. 2025, section 2.2), so that one learning rate serves both.
    """
    return optax.contrib.muon(
        learning_rate(config),
        ns_coeffs=_NEWTON_SCHULZ,
        weight_decay=config.weight_decay,
        consistent_rms=0.2,
        adam_b2=0.99,
        muon_weight_dimension_numbers=_dimensions,
    )


def _dimensions(params: Params) -> Any:
    def of_leaf(path: tuple[Any, ...], leaf: Array) -> Any:
        if not str(path[-1].key).endswith("kernel"):
            return None
        axes = tuple(range(leaf.ndim - 1))
        return optax.contrib.MuonDimensionNumbers(axes, (leaf.ndim - 1,))

    return jax.tree_util.tree_map_with_path(of_leaf, params)


OPTIMIZERS: dict[str, Callable[[TrainConfig], optax.GradientTransformation]] = {
    "adamw": adamw,
    "adafactor": adafactor,
    "muon": muon,
}


def optimizer(config: TrainConfig) -> optax.GradientTransformation:
    """The run's optimiser, after clipping the gradient to norm `config.clip_norm`."""
    return optax.chain(
        optax.clip_by_global_norm(config.clip_norm), OPTIMIZERS[config.optimizer](config)
    )
