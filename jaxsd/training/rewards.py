"""Rewards of pictures, by name."""

import importlib
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxsd.images import jpeg_bytes
from jaxsd.training.aesthetic import aesthetic
from jaxsd.training.config import RewardConfig
from jaxsd.types import Array, Params


class Reward(NamedTuple):
    """How good pictures are: more is better."""

    # (params, images [B, H, W, 3] float32 in [0, 1]) -> [B]; None if it has no derivative
    differentiable: Callable[[Params, Array], Array] | None
    params: Params
    # (uint8 [B, H, W, 3], prompts) -> [B]; None for the differentiable one
    measured: Callable[[np.ndarray, Sequence[str]], Any] | None = None


def colour(config: RewardConfig) -> Reward:
    """Minus the mean squared distance of a picture's mean colour from `config.colour`, of 1."""
    target = np.float32(config.colour) / 255

    def near(params: Params, images: Array) -> Array:
        del params
        return -jnp.square(images.mean((1, 2)) - target[None]).mean(-1)

    return Reward(near, {})


def brightness(config: RewardConfig) -> Reward:
    """The mean of a picture, 0 for black, 1 for white."""
    del config
    return Reward(lambda params, images: images.mean((1, 2, 3)), {})


def compressibility(config: RewardConfig) -> Reward:
    """Minus the size as a JPEG of quality 95, in units of 1,000 bytes (Black et al. 2024)."""
    del config

    def measured(pictures: np.ndarray, prompts: Sequence[str]) -> list[float]:
        del prompts
        return [-len(jpeg_bytes(picture)) / 1000 for picture in pictures]

    return Reward(None, {}, measured)


REWARDS: dict[str, Callable[[RewardConfig], Reward]] = {
    "colour": colour,
    "brightness": brightness,
    "compressibility": compressibility,
    "aesthetic": lambda config: Reward(*aesthetic(config.predictor, config.clip)),
}
"""Name of a reward; a name `module:function` is a function of the user."""


def reward_of(config: RewardConfig, *, differentiable: bool) -> Reward:
    """The reward of a run.

    Args:
      config: names it.
      differentiable: whether a derivative by the pictures is needed. A user's function is then one
        of JAX, images [B, H, W, 3] float32 in [0, 1] -> [B]; else it takes pictures, uint8
        [B, H, W, 3] of NumPy, and a list of their prompts, and gives B numbers.

    Raises:
      ValueError: no such name, no such function, or no derivative.
      OSError: files of a network can not be read.
    """
    if ":" in config.name:
        function = _function(config.name)
        if differentiable:
            return Reward(lambda params, images: function(images), {})
        return Reward(None, {}, function)
    if config.name not in REWARDS:
        raise ValueError(
            f"reward.name {config.name!r} is unknown: choose one of {', '.join(REWARDS)}, or "
            "module:function"
        )
    reward = REWARDS[config.name](config)
    if differentiable and reward.differentiable is None:
        raise ValueError(
            f"reward {config.name!r} has no derivative, which task 'draft' needs; use task 'ddpo'"
        )
    return reward


def _function(name: str) -> Callable[..., Any]:
    """The function `module:function`; modules of the current folder are found first."""
    module, _, function = name.partition(":")
    sys.path.insert(0, str(Path.cwd()))
    try:
        found = getattr(importlib.import_module(module), function, None)
    except Exception as error:  # whatever a user's module raises
        raise ValueError(f"reward.name {name!r}: {error}") from error
    finally:
        sys.path.pop(0)
    if not callable(found):
        raise ValueError(f"reward.name {name!r}: {module} has no function {function!r}")
    return found


def _of_user(function: Callable[..., Any], name: str, images: Any, *others: Any) -> Any:
    """What a user's function gives.

    Raises:
      ValueError: whatever it raises, in one line.
    """
    try:
        return function(images, *others)
    except Exception as error:
        line = str(error).strip().splitlines() or [type(error).__name__]
        raise ValueError(f"reward {name!r} fails on {list(images.shape)}: {line[0]}") from error


def check_reward(config: RewardConfig, *, differentiable: bool) -> None:
    """Checks a reward before a model is read; a user's function is tried on grey pictures.

    Raises:
      ValueError: see `reward_of`, `check_differentiable` and `measured`.
      OSError: files of a network can not be read.
    """
    reward, grey = reward_of(config, differentiable=differentiable), (2, 64, 64, 3)
    if differentiable:
        check_differentiable(reward, config.name, grey)
    else:
        measured(reward, config.name, np.full(grey, 128, np.uint8), ["", ""])


def unit(images: Array) -> Array:
    """Images [B, H, W, 3] of the autoencoder, about [-1, 1], in [0, 1]."""
    return jnp.clip((images + 1) / 2, 0, 1)


def check_differentiable(reward: Reward, name: str, shape: tuple[int, ...]) -> None:
    """Traces a reward on pictures [B, H, W, 3].

    Raises:
      ValueError: it fails, or does not give a number for each.
    """
    images = jax.ShapeDtypeStruct(shape, jnp.float32)
    params = jax.eval_shape(lambda: reward.params)
    traced = partial(jax.eval_shape, reward.differentiable, params)
    found = _of_user(traced, name, images)
    wanted = (shape[0],)
    if getattr(found, "shape", None) != wanted or not jnp.issubdtype(found.dtype, jnp.floating):
        raise ValueError(
            f"reward {name!r} gives {found} for images {list(shape)}; floats {list(wanted)} are "
            "needed"
        )


def measured(reward: Reward, name: str, pictures: np.ndarray, prompts: Sequence[str]) -> np.ndarray:
    """Rewards [B] float64 of pictures, uint8 [B, H, W, 3].

    Raises:
      ValueError: not a finite number for each.
    """
    if reward.measured is None:
        found = jax.jit(reward.differentiable)(reward.params, np.float32(pictures) / 255)
    else:
        found = _of_user(reward.measured, name, pictures, list(prompts))
    try:
        numbers = np.asarray(found, np.float64)
    except (TypeError, ValueError):
        numbers = np.full(0, np.nan)
    if numbers.shape != (len(pictures),) or not np.isfinite(numbers).all():
        raise ValueError(
            f"reward {name!r} must be {len(pictures)} finite numbers for as many pictures, and is "
            f"{found!r}"[:300]
        )
    return numbers
