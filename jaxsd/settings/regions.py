"""Boxes of a picture that have texts of their own."""

from dataclasses import dataclass
from typing import Self

from jaxsd.typed import parsed


@dataclass(frozen=True, order=True)
class Region:
    """A text for a box of the picture; sides are shares of the picture's.

    Attributes:
      x: left side, from 0 to 1.
      y: top side.
      width: of the box.
      height: of the box.
      text: what to draw there.
      strength: weight in the box, where the prompt has 1.
    """

    x: float = 0.0
    y: float = 0.0
    width: float = 1.0
    height: float = 1.0
    text: str = ""
    strength: float = 1.0

    @classmethod
    def parse(cls, text: str) -> Self:
        """`X,Y,WIDTH,HEIGHT[,STRENGTH]:TEXT`.

        Raises:
          ValueError: a text that is not of this form.
        """
        box, colon, prompt = text.partition(":")
        parts = box.split(",")
        if not colon or len(parts) not in (4, 5):
            raise ValueError(f"region {text!r} is not X,Y,WIDTH,HEIGHT[,STRENGTH]:TEXT")
        x, y, width, height, *strength = (
            parsed(float, part, f"region {text!r}:") for part in parts
        )
        return cls(x, y, width, height, prompt, *strength)

    def __str__(self) -> str:
        box = (self.x, self.y, self.width, self.height, self.strength)
        return f"{','.join(map(str, box))}:{self.text}"
