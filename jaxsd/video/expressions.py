"""A picture of a face that goes from expression to expression."""

from collections.abc import Sequence
from typing import Any

PLACE = "{}"
"""Stands for the expression in a text."""
SUITS: dict[str, Any] = {
    "sampler": "bdia",
    "guidance_scale": 1.0,
    "easing": "ease_in_out",
    "fps": 12.0,
}
"""What such a video has where nothing else is said: the exact inversion, and no guidance, so that
the first frame is the picture."""


REST = 0.5
"""How long the last expression stays, as a share of what a change takes."""


def moving_face(
    picture: str, text: str, expressions: Sequence[str], seconds: float = 0.0
) -> dict[str, Any]:
    """What a `VideoConfig` has of a face: its key frames differ in the expression alone.

    Args:
      picture: file.
      text: what it shows, with `PLACE` for the expression.
      expressions: the first is the picture's own.
      seconds: length; 0 for one second for each change.

    Raises:
      ValueError: in one line, for a text without a place, or fewer than two expressions.
    """
    if PLACE not in text:
        raise ValueError(
            f"prompt {text!r} has no {PLACE}, where the expressions go, as in 'a {PLACE} face'"
        )
    if len(expressions) < 2 or not all(expressions):
        raise ValueError(
            f"expressions {', '.join(expressions)!r}: give two or more with commas between, first "
            "that of the picture, as in 'smiling, crying'"
        )
    texts = [text.replace(PLACE, expression) for expression in expressions]
    changes = len(texts) - 1 + REST
    seconds = seconds or changes
    keys = [{"prompt": one, "time": i * seconds / changes} for i, one in enumerate(texts)]
    return {"image": picture, "source_prompt": texts[0], "key": keys, "seconds": seconds}
