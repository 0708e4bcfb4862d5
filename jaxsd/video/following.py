"""Frames that are made from the frame before: moved as the camera moves, and drawn over."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from jaxsd.canvases import Pictures, pictures_alone, read_pictures
from jaxsd.config import ModelSpec
from jaxsd.generators import GENERATORS
from jaxsd.images import read_image, write_picture
from jaxsd.images.moving import Move, moved, moved_noise
from jaxsd.settings import Settings, checked
from jaxsd.video.keys import after
from jaxsd.video.plan import TABLE, Plan, frame_id
from jaxsd.video.recipe import recipe_of
from jaxsd.writing import replacing

STRIDE = 1_000_003
"""Between the seeds of frames."""

Draw = Callable[[Settings, Pictures, np.ndarray, float], np.ndarray]
"""(checked settings, pictures, noise [h, w, c], share) -> uint8 [H, W, 3]; the share is that of the
picture to begin from in the latents at the end."""


def follow(
    plan: Plan, folder: Path, spec: ModelSpec, weights: str, draw: Draw, done: Callable[[int], Any]
) -> list[Path]:
    """Draws the frames that are not there yet, one after the other.

    Args:
      plan: of the video.
      folder: where the frames are written.
      spec: of the model.
      weights: hash of the model's weights.
      draw: draws one.
      done: called with 1 for each frame that is there.

    Returns:
      Their files, in order.

    Raises:
      ValueError: the folder has frames of another video.
    """
    same = replace(plan.config, output="", enlarge=1, keep_frames=False)  # of any file of them
    claim(folder, recipe_of(plan._replace(config=same), weights))
    noise, image, places = None, None, []
    for number, frame in enumerate(plan.frames):
        own = noises(spec, frame.settings, number)
        move = between(plan.frames[number - 1].camera, frame.camera) if number else Move()
        noise = own if noise is None else moved_noise(noise, move, own)
        places.append(folder / f"{frame_id(number)}.png")
        if places[-1].is_file():
            image = read_image(places[-1])
        else:
            before = None if image is None else moved(image, move)
            share = 0.0 if before is None else plan.config.blend
            image = draw(*begun(plan, frame.settings, before, spec), noise, share)
            write_picture(places[-1], image)
        done(1)
    return places


def claim(folder: Path, recipe: str) -> None:
    """Writes into a folder what its frames are of.

    Raises:
      ValueError: it has frames of another video.
    """
    folder.mkdir(parents=True, exist_ok=True)
    said = folder / TABLE
    if said.is_file() and said.read_text(encoding="utf-8") != recipe:
        raise ValueError(f"{folder} has frames of another video; give this one another name")
    with replacing(said) as part:
        part.write_text(recipe, encoding="utf-8")


def begun(
    plan: Plan, settings: Settings, before: np.ndarray | None, spec: ModelSpec
) -> tuple[Settings, Pictures]:
    """A frame's settings and pictures, with that of the frame before, if there is one.

    ControlNets without a picture look at it too, and are not there in the first frame.
    """
    looking = tuple(one for one in settings.control if one.image or before is not None)
    named = [one for one in looking if one.image]
    settings = replace(settings, control=looking)
    read, _ = read_pictures(pictures_alone(replace(settings, control=tuple(named))))
    given = iter(read.controls)
    controls = tuple(next(given) if one.image else before for one in looking)
    if before is None:
        return settings, read
    settings = checked(after(settings, plan.config.follow), spec)
    return settings, read._replace(image=before, controls=controls)


def between(one: Move, other: Move) -> Move:
    """The camera's move between two frames."""
    return Move(other.zoom / one.zoom, *(b - a for a, b in zip(one[1:], other[1:], strict=True)))


def noises(spec: ModelSpec, settings: Settings, number: int) -> np.ndarray:
    """Noise [h, w, c] float32 of a frame's own; the same on any machine."""
    height, width = (side // spec.vae.downscale for side in settings.drawn_size)
    shape = (height, width, spec.vae.latent_channels)
    seed = (settings.seed + number * STRIDE) % 2**32
    return GENERATORS["torch"](seed).normal(int(np.prod(shape))).reshape(shape)
