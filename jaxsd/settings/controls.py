"""Pictures that networks beside the U-Net look at."""

from dataclasses import dataclass
from typing import ClassVar, Self

from jaxsd.typed import parsed


@dataclass(frozen=True)
class Control:
    """A ControlNet or T2I-Adapter that looks at a picture.

    Attributes:
      image: file of the picture; empty where the picture itself is given.
      model: anything that `jaxsd.pipeline.with_controlnet` reads, or the name it was given there.
      weight: weight of what it adds.
      first: part of the way from noise (0) to picture (1) at which it begins.
      last: and at which it ends.
    """

    image: str = ""
    model: str = ""
    weight: float = 1.0
    first: float = 0.0
    last: float = 1.0

    OPTION: ClassVar[str] = "control"

    @classmethod
    def parse(cls, text: str) -> Self:
        """`IMAGE:MODEL[:WEIGHT[:FROM:TO]]`.

        Raises:
          ValueError: a text that is not of this form.
        """
        parts = text.split(":")
        if len(parts) not in (2, 3, 5) or not parts[1]:
            raise ValueError(f"{cls.OPTION} {text!r} is not IMAGE:MODEL[:WEIGHT[:FROM:TO]]")
        name = f"{cls.OPTION} {text!r}:"
        return cls(*parts[:2], *(parsed(float, part, name) for part in parts[2:]))

    def __str__(self) -> str:
        return f"{self.image}:{self.model}:{self.weight}:{self.first}:{self.last}"


@dataclass(frozen=True)
class ImagePrompt(Control):
    """A picture beside the prompt, and the file of the IP-Adapter that shows it to the U-Net."""

    OPTION: ClassVar[str] = "ip_adapter"
