"""webui's script "X/Y/Z plot": pictures along up to three axes, and a sheet of them."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from jaxsd.bulk.grid import SCHEDULE, Grid, grid_of, parse_axis
from jaxsd.config import ModelSpec
from jaxsd.images import labelled_sheet
from jaxsd.schedulers import SAMPLERS
from jaxsd.schedulers.names import resolve
from jaxsd.server.refusals import Refused
from jaxsd.server.webui_samplers import AUTOMATIC, UNIFORM, grid_word, sampler_of
from jaxsd.settings import Settings

SCRIPT = "x/y/z plot"
NOTHING = "Nothing"
NUMBERED = {
    False: (NOTHING, "Seed", "Var. seed", "Var. strength", "Steps", "Hires steps", "CFG Scale",
            "Prompt S/R"),
    True: (NOTHING, "Seed", "Var. seed", "Var. strength", "Steps", "CFG Scale", "Image CFG Scale",
           "Prompt S/R"),
}  # fmt: skip
"""Whether it begins from a picture -> axes by webui's numbers, as far as all its versions agree."""
OPTIONS = {
    "seed": "seed",
    "var. seed": "variation_seed",
    "var. strength": "variation_strength",
    "steps": "steps",
    "hires steps": "hires_steps",
    "cfg scale": "guidance_scale",
    "image cfg scale": "image_guidance_scale",
    "prompt s/r": "prompt s/r",
    "sampler": "sampler",
    "schedule type": SCHEDULE,
    "clip skip": "clip_skip",
    "denoising": "strength",
    "size": "size",
}
"""Names of axes, in lower case -> axes of `jaxsd.bulk.grid`, none of which names a file."""
MOST_ARGS = 19
"""Arguments in the newest version."""
MOST_IMAGES = 64
"""Pictures of a request."""
MOST_LETTERS = 20_000
"""Of the values of an axis."""


class Plot(NamedTuple):
    """Pictures to draw, and what the answer has of them."""

    grid: Grid
    legend: bool  # whether the sheet has texts
    lone: bool  # whether the pictures come too

    def sheet(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """The pictures of all cells, uint8 [H, W, 3], side by side."""
        labels = self.grid.labels
        if not self.legend:
            labels = tuple([""] * len(side) for side in labels)
        return labelled_sheet(images, *labels)


class Names(NamedTuple):
    """What names in the arguments mean, of the request around them."""

    begins: bool  # whether it begins from a picture
    schedule: str | None  # of the noise levels


def plot_of(given: Any, base: Settings, spec: ModelSpec, names: Names, ignored: list[str]) -> Plot:
    """What the script is asked for.

    Args:
      given: `script_args`: type, values and (in newer versions) chosen values of each axis, then
        whether there are a legend, the pictures themselves, sub-grids, and other seeds.
      base: what the axes do not say.
      spec: of the model.
      names: of the request.
      ignored: gets the names of what does nothing here.

    Raises:
      Refused: other arguments.
      ValueError: an axis that is not possible.
    """
    if not isinstance(given, list) or not 6 <= len(given) <= MOST_ARGS:
        raise _refused(
            f"script_args of {SCRIPT} are a list of type, values and chosen values of three axes, "
            "and what the answer has"
        )
    each = 3 if isinstance(given[2], list) or given[2] in ("", None) else 2
    args = [*given, *[""] * MOST_ARGS]
    axes = [_axis(*args[each * i : each * (i + 1)], names.begins) for i in range(3)]
    if any(axis.option == SCHEDULE for axis in axes if axis):
        names = names._replace(schedule=UNIFORM)
        if base.sampler:
            base = replace(base, sampler=resolve(base.sampler, tuple(SAMPLERS))[0])
    said = dict(zip("xyz", (axis.text(names) if axis else "" for axis in axes), strict=True))
    count = math.prod(len(parse_axis(one).values) for one in said.values() if one)
    if count > MOST_IMAGES:
        raise _refused(f"{SCRIPT} has {count} pictures; at most {MOST_IMAGES} are drawn")
    legend, lone, sub_grids, other_seeds = map(_is, args[3 * each : 3 * each + 4])
    for name, asked in (("include_sub_grids", sub_grids), ("no_fixed_seeds", other_seeds)):
        if asked:
            ignored.append(f"script_args.{name}")
    return Plot(grid_of(base, spec, **said), legend, lone)


class _Axis(NamedTuple):
    option: str  # of ours, or the axis of prompts or schedules
    values: list[str]

    def text(self, names: Names) -> str:
        """In the words of `jaxsd.bulk.grid.parse_axis`."""
        values = self.values
        if self.option == "sampler":
            values = [sampler_of(one, names.schedule) or "" for one in values]
        elif self.option == SCHEDULE:
            values = [_schedule(one) for one in values]
        return f"{self.option}: " + ", ".join(values)


def _axis(kind: Any, values: Any, *rest: Any) -> _Axis | None:
    """An axis by its number or its name, with a text of values, or else with those chosen."""
    *chosen, begins = rest
    numbered = NUMBERED[begins]
    if isinstance(kind, int) and not isinstance(kind, bool):
        if not 0 <= kind < len(numbered):
            raise _refused(
                f"axis {kind} of {SCRIPT} is another one in each version of webui; give its name"
            )
        kind = numbered[kind]
    name = " ".join(str(kind).lower().split())
    if name in ("", NOTHING.lower()):
        return None
    if name not in OPTIONS:
        raise _refused(f"axis {kind!r} of {SCRIPT} is not one of {', '.join(OPTIONS)}")
    listed = chosen[0] if chosen and isinstance(chosen[0], list) else []
    each = [f'"{one}"' if "," in str(one) else str(one) for one in listed]
    if str(values):
        each = str(values).split(",")
    if sum(len(one) + 1 for one in each) > MOST_LETTERS:
        raise _refused(f"axis {kind!r} has values of more than {MOST_LETTERS} characters")
    option = "hires_strength" if name == "denoising" and not begins else OPTIONS[name]
    return _Axis(option, [one.strip() for one in each])


def _schedule(name: str) -> str:
    """The word of a grid for a schedule of webui.

    Raises:
      Refused: the schedule is not named.
    """
    word = grid_word(name)
    if word == AUTOMATIC:
        raise _refused(f"axis Schedule type of {SCRIPT} has Automatic; name the schedule")
    return AUTOMATIC if word == UNIFORM else word


def _is(value: Any) -> bool:
    """Whether a switch is on; some clients send it as a word."""
    return value is True or (isinstance(value, str) and value.lower() == "true")


def _refused(message: str) -> Refused:
    return Refused(422, message, param="script_args")
