"""webui's script "X/Y/Z plot": pictures along up to three axes, and a sheet of them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxsd.bulk.grid import Grid, grid_of
from jaxsd.config import ModelSpec
from jaxsd.images import labelled_sheet
from jaxsd.schedulers import is_learnt
from jaxsd.server.refusals import Refused
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
    "schedule type": "schedule type",
    "clip skip": "clip_skip",
    "denoising": "strength",
    "size": "size",
}
"""Names of axes, in lower case -> axes of `jaxsd.bulk.grid`, none of which names a file."""
MOST_ARGS = 19
SIDES = "xyz"


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


def plot_of(given: Any, base: Settings, spec: ModelSpec, begins: bool, ignored: list[str]) -> Plot:
    """What the script is asked for.

    Args:
      given: `script_args`: type, values and (of newer versions) chosen values of each axis, then
        whether there are a legend, the pictures themselves, sub-grids, and other seeds.
      base: what the axes do not say.
      spec: of the model.
      begins: whether it begins from a picture.
      ignored: gets the names of what does nothing here.

    Raises:
      Refused: other arguments.
      ValueError: an axis that is not possible.
    """
    if not isinstance(given, list) or not 6 <= len(given) <= MOST_ARGS:
        raise Refused(
            422,
            f"script_args of {SCRIPT} are a list of type, values and chosen values of three axes, "
            "and what the answer has",
            param="script_args",
        )
    each = 3 if len(given) > 11 else 2  # older versions have no chosen values
    args = [*given, *[""] * MOST_ARGS]
    axes = {
        side: axis_of(*args[each * i : each * (i + 1)], begins=begins)
        for i, side in enumerate(SIDES)
    }
    legend, lone, sub_grids, other_seeds = (_is(one) for one in args[3 * each : 3 * each + 4])
    for name, asked in (("include_sub_grids", sub_grids), ("no_fixed_seeds", other_seeds)):
        if asked:
            ignored.append(f"script_args.{name}")
    grid = grid_of(base, spec, **axes)
    for one in grid.cells:
        if is_learnt(one.sampler or ""):
            raise ValueError(
                f"sampler {one.sampler!r} is a file, which only the server's owner may name"
            )
    return Plot(grid, legend, lone)


def axis_of(kind: Any, values: Any, chosen: Any = (), *, begins: bool) -> str:
    """An axis in the words of `jaxsd.bulk.grid.parse_axis`; empty for none.

    Args:
      kind: its number or its name.
      values: a text, with commas between.
      chosen: of those that webui lists, which count where there are no others.
      begins: whether it begins from a picture.

    Raises:
      Refused: an axis that is not here.
    """
    numbered = NUMBERED[begins]
    if isinstance(kind, int) and not isinstance(kind, bool):
        if not 0 <= kind < len(numbered):
            raise Refused(
                422,
                f"axis {kind} of {SCRIPT} is another one in each version of webui; give its name",
                param="script_args",
            )
        kind = numbered[kind]
    name = " ".join(str(kind).lower().split())
    if name in ("", NOTHING.lower()):
        return ""
    if name not in OPTIONS:
        listed = ", ".join(OPTIONS)
        raise Refused(422, f"axis {kind!r} of {SCRIPT} is not one of {listed}", param="script_args")
    ours = "hires_strength" if name == "denoising" and not begins else OPTIONS[name]
    if isinstance(chosen, list | tuple) and chosen and not values:
        values = ", ".join(f'"{one}"' if "," in str(one) else str(one) for one in chosen)
    return f"{ours}: {values}"


def _is(value: Any) -> bool:
    """Whether a switch is on; some clients send it as a word."""
    return value is True or (isinstance(value, str) and value.lower() == "true")
