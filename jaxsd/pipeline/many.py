"""Pictures whose settings may differ in anything, in as few calls as possible."""

from collections.abc import Sequence

import numpy as np

from jaxsd.canvases import Pictures
from jaxsd.pipeline.drawer import Progress
from jaxsd.pipeline.pipeline import Pipeline
from jaxsd.settings import Settings, calls_of


def draw_many(
    pipe: Pipeline,
    settings: Sequence[Settings],
    pictures: Sequence[Pictures] | None = None,
    *,
    most: int = 8,
    progress: Progress | None = None,
) -> list[np.ndarray]:
    """Draws a picture for each of some settings, uint8 [H, W, 3], in their order.

    Each is what a call of its own would give, up to rounding. Those of one call may have other
    prompts, seeds, samplers, steps and scales; a call takes as long as its longest.

    Args:
      pipe: the model.
      settings: checked.
      pictures: for each of the settings what it begins from; None where no one begins from any.
      most: pictures of a call.
      progress: called after every row of a call with (rows done, rows of all calls).

    Raises:
      ValueError: in one line, for settings that do not fit the pictures.
      FloatingPointError: as `Pipeline.draw`.
    """
    pictures = [Pictures()] * len(settings) if pictures is None else pictures
    drawn: dict[int, np.ndarray] = {}
    calls = calls_of(settings, pipe.spec, pipe.tokenizers, most)
    before, total = 0, sum(call.rows for call in calls)
    for call in calls:
        chosen = [settings[i] for i in call.numbers]
        own = [pictures[i] for i in call.numbers]
        order = pipe.order(chosen, pictures=own, batch=pipe.batch(call.batch))

        def shown(done: int, rows: int, before: int = before) -> None:
            if progress is not None:
                progress(before + done, total)

        # Step by step, since those programs serve any number of steps.
        images = pipe.pictures(pipe.drawn(order, shown), order)
        drawn |= dict(zip(call.numbers, images, strict=True))
        before += order.rows
    return [drawn[i] for i in range(len(settings))]
