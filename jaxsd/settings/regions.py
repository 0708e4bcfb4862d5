"""Parts of a picture that have texts of their own: boxes, and masks in files."""

import math
from dataclasses import dataclass
from typing import Self

from jaxsd.typed import parsed

FORM = "X,Y,WIDTH,HEIGHT[,STRENGTH]:TEXT or FILE[,STRENGTH]:TEXT"


@dataclass(frozen=True, order=True)
class Region:
    """A text for a part of the picture, a box or a mask; sides are shares of the picture's.

    Attributes:
      x: left side of the box, from 0 to 1.
      y: top side.
      width: of the box.
      height: of the box.
      text: what to draw there.
      strength: weight in the part, where the prompt has 1.
      mask: file of a picture that is white there, and grey where the text weighs less; then there
        is no box.
    """

    x: float = 0.0
    y: float = 0.0
    width: float = 1.0
    height: float = 1.0
    text: str = ""
    strength: float = 1.0
    mask: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """`X,Y,WIDTH,HEIGHT[,STRENGTH]:TEXT` or `FILE[,STRENGTH]:TEXT`.

        Raises:
          ValueError: a text that is not of this form.
        """
        place, colon, prompt = text.partition(":")
        first, *others = place.split(",")
        if not colon or not first:
            raise ValueError(f"region {text!r} is not {FORM}")
        if not _is_number(first):
            file, comma, last = place.rpartition(",")
            if comma and _is_number(last):
                return cls(text=prompt, strength=float(last), mask=file)
            return cls(text=prompt, mask=place)
        if len(others) not in (3, 4):
            raise ValueError(f"region {text!r} is not {FORM}")
        x, y, width, height, *strength = (
            parsed(float, part, f"region {text!r}:") for part in (first, *others)
        )
        return cls(x, y, width, height, prompt, *strength)

    def __str__(self) -> str:
        box = (self.x, self.y, self.width, self.height)
        place = (self.mask,) if self.mask else box
        return f"{','.join(map(str, (*place, self.strength)))}:{self.text}"


def box_of(mask: str) -> tuple[float, float, float, float] | None:
    """A mask that is a box, X,Y,WIDTH,HEIGHT in shares of a picture's sides; None for a file.

    Raises:
      ValueError: a box without area, or one that is not within the picture.
    """
    parts = mask.split(",")
    if len(parts) != 4 or not all(map(_is_number, parts)):
        return None
    x, y, width, height = map(float, parts)
    if not (min(x, y) >= 0 and min(width, height) > 0 and max(x + width, y + height) <= 1 + 1e-9):
        raise ValueError(
            f"mask {mask!r} is no box within the picture; X,Y,WIDTH,HEIGHT are shares of its sides "
            "from 0 to 1, such as 0.25,0,0.5,0.4"
        )
    return x, y, width, height


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
