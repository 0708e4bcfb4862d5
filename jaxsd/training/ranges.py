"""What the values of a training run may be, beyond their types: checked before anything is read."""

import math
import re
from collections.abc import Iterable
from operator import attrgetter
from typing import Any

from jaxsd.convert.files.tensors import DTYPES

ABOVE_ZERO = ("learning_rate", "clip_norm", "distillation.huber")
MANY, BATCH, WIDTH = 2**31 - 1, 2**20, 2**16
RANGES: dict[str, tuple[float, float]] = {
    **dict.fromkeys(("steps", "save_every", "keep", "log_every"), (1, MANY)),
    **dict.fromkeys(("warmup_steps", "decay_steps"), (0, MANY)),
    **dict.fromkeys(("batch_size", "accumulate"), (1, BATCH)),
    **dict.fromkeys(("crop", "tiny_channels", "embedding.vectors"), (1, WIDTH)),
    **dict.fromkeys(("resolution", "controlnet_rank", "lora.rank"), (0, WIDTH)),
    **dict.fromkeys(("distillation.steps", "distillation.original_steps"), (1, WIDTH)),
    **dict.fromkeys(("weight_decay", "prior_weight", "lora.alpha"), (0, 1e6)),
    **dict.fromkeys(("loss.min_snr_gamma", "loss.offset_noise"), (0, 1e6)),
    **dict.fromkeys(("arrays.resnets", "arrays.heads"), (1, WIDTH)),
    "arrays.told": (0, 1),
    "arrays.time_axis": (1, 3),
    **dict.fromkeys(("drawing.rows", "policy.updates"), (1, 1000)),
    **dict.fromkeys(("drawing.eta", "policy.clip"), (0, 1)),
    "drawing.guidance_scale": (0, 100),
    "drawing.last": (0, 1000),
    "policy.pictures": (2, BATCH),
    "loss.dpo_beta": (0, 1e6),
    "seed": (0, 2**32 - 1),
    "max_aspect": (1, 100),
}
"""Key -> the least and the largest value."""
SHARES = ("ema_decay", "caption_dropout")
"""Keys of numbers from 0 to just below 1."""
WORDS: dict[str, tuple[str, ...]] = {
    "dtype": tuple(DTYPES),
    "loss.prediction": ("", "epsilon", "v", "sample"),
}
"""Key -> the values that there are."""
EXPRESSIONS = ("trainable", "lora.targets")
"""Keys of regular expressions."""

WHOLE = ("consistency", "progressive")
"""Tasks that train leaves of the model in place of a LoRA of rank 0."""


def check(config: Any) -> None:
    """Checks a `TrainConfig`.

    Raises:
      ValueError: one line, for a value that is not allowed.
    """
    for name, (low, high) in RANGES.items():
        value = attrgetter(name)(config)
        if not low <= value <= high:  # also NaN
            raise ValueError(f"{name} is {value}, it must be in [{low}, {high}]")
    for name in ABOVE_ZERO:
        value = attrgetter(name)(config)
        if not 0 < value <= 1000:
            raise ValueError(f"{name} is {value}, it must be more than 0, and 1000 at most")
    for name in SHARES:
        value = attrgetter(name)(config)
        if not 0 <= value < 1:
            raise ValueError(f"{name} is {value}, it must be in [0, 1)")
    for name, allowed in WORDS.items():
        if (value := attrgetter(name)(config)) not in allowed:
            raise ValueError(f"{name} is {value!r}, it must be one of {', '.join(allowed)}")
    for name in EXPRESSIONS:
        _check_expressions(name, attrgetter(name)(config))
    _check_densities("loss.timestep_density", config.loss.timestep_density)
    if config.templates:
        _check_densities("templates", config.templates.values())
    _check_lists(config)


def _check_expressions(name: str, several: Iterable[str]) -> None:
    for one in several:
        try:
            re.compile(one)
        except re.error as error:
            raise ValueError(f"{name}: {one!r} is not a regular expression: {error}") from None


def _check_densities(name: str, values: Iterable[float]) -> None:
    values = list(values)
    numbers = all(type(one) in (int, float) and math.isfinite(one) and one >= 0 for one in values)
    if not numbers or not sum(values) > 0:
        raise ValueError(f"{name} is {values}, it must be numbers of 0 or more, not all of them 0")


def _check_lists(config: Any) -> None:
    left, sizes = config.mesh.count(-1), [size for size in config.mesh if size != -1]
    if len(config.mesh) != 3 or left > 1 or min(sizes) < 1:
        raise ValueError(
            f"mesh is {list(config.mesh)}, it must be three counts of devices; one may be -1, for "
            "all that are left"
        )
    if not all(1 <= width <= WIDTH for width in config.hint_channels):
        raise ValueError(f"hint_channels is {list(config.hint_channels)}, widths are 1 to {WIDTH}")
    _check_guidance(config.distillation.guidance)
    if config.lora.rank == 0 and config.task not in WHOLE:
        raise ValueError(
            f"lora.rank is 0, which trains students whole (task {' or '.join(WHOLE)}); "
            "set 1 or more"
        )
    colour = config.reward.colour
    if len(colour) != 3 or not all(0 <= value <= 255 for value in colour):
        raise ValueError(f"reward.colour is {list(colour)}, it must be three numbers from 0 to 255")
    if config.warmup_steps + config.decay_steps > config.steps:
        raise ValueError(
            f"warmup_steps {config.warmup_steps} and decay_steps {config.decay_steps} are more "
            f"than the {config.steps} steps of the run; lower one of them"
        )


def _check_guidance(scales: tuple[float, ...]) -> None:
    if len(scales) > 2 or not all(1 <= scale <= 1000 for scale in scales):
        raise ValueError(
            f"distillation.guidance is {list(scales)}, it must be one guidance scale of 1 to 1000, "
            "or the lowest and the highest"
        )
