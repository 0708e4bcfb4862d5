"""Pictures that networks beside the U-Net look at."""

from dataclasses import dataclass, replace
from typing import ClassVar, Self

from jaxsd.typed import parsed

UNION_KINDS = {
    "openpose": 0,
    "depth": 1,
    "hed": 2,
    "pidi": 2,
    "scribble": 2,
    "ted": 2,
    "canny": 3,
    "lineart": 3,
    "anime_lineart": 3,
    "mlsd": 3,
    "normal": 4,
    "segment": 5,
    "tile": 6,
    "repaint": 7,
}
"""Kind of a picture -> its number in xinsir's ControlNet-Union; "ProMax" has the last two."""


@dataclass(frozen=True)
class Control:
    """A ControlNet or T2I-Adapter that looks at a picture.

    Attributes:
      image: file of the picture; empty where the picture itself is given.
      model: anything that `jaxsd.pipeline.with_controlnet` reads, or the name it was given there.
      weight: weight of what it adds.
      first: part of the way from noise (0) to picture (1) at which it begins.
      last: and at which it ends.
      kind: of the picture, a name of `UNION_KINDS`, for a ControlNet-Union; empty for all others.
    """

    image: str = ""
    model: str = ""
    weight: float = 1.0
    first: float = 0.0
    last: float = 1.0
    kind: str = ""

    OPTION: ClassVar[str] = "control"

    @classmethod
    def parse(cls, text: str) -> Self:
        """`IMAGE:MODEL[@KIND][:WEIGHT[:FROM:TO]]`.

        Raises:
          ValueError: a text that is not of this form.
        """
        parts = text.split(":")
        if len(parts) not in (2, 3, 5) or not parts[1]:
            raise ValueError(f"{cls.OPTION} {text!r} is not IMAGE:MODEL[:WEIGHT[:FROM:TO]]")
        name = f"{cls.OPTION} {text!r}:"
        model, kind = cls._model_and_kind(parts[1])
        numbers = (parsed(float, part, name) for part in parts[2:])
        return replace(cls(parts[0], model, *numbers), kind=kind)

    @classmethod
    def _model_and_kind(cls, text: str) -> tuple[str, str]:
        model, at, kind = text.rpartition("@")
        is_kind = at and model and not {".", "/"} & set(kind)  # else it is of a file's name
        return (model, kind) if is_kind else (text, "")

    @property
    def source(self) -> str:
        """`MODEL[@KIND]`."""
        return f"{self.model}@{self.kind}" if self.kind else self.model

    def __str__(self) -> str:
        return f"{self.image}:{self.source}:{self.weight}:{self.first}:{self.last}"


@dataclass(frozen=True)
class ImagePrompt(Control):
    """A picture beside the prompt, and the file of the IP-Adapter that shows it to the U-Net."""

    OPTION: ClassVar[str] = "ip_adapter"

    @classmethod
    def _model_and_kind(cls, text: str) -> tuple[str, str]:
        return text, ""


def check_kind(control: Control, kinds: int) -> None:
    """Finds out whether a picture's kind is one that its network tells apart.

    Args:
      control: checked.
      kinds: how many the network does; 0 where it is no ControlNet-Union.

    Raises:
      ValueError: it is not, or none is given.
    """
    known = [name for name, number in UNION_KINDS.items() if number < kinds]
    if control.kind and not kinds:
        raise ValueError(
            f"{control.OPTION} {str(control)!r}: {control.model} is no ControlNet-Union; leave out "
            f"@{control.kind}"
        )
    if kinds and control.kind not in known:
        raise ValueError(
            f"{control.OPTION} {str(control)!r}: a ControlNet-Union sees pictures of a kind; write "
            f"{control.model}@KIND, with one of {', '.join(known)}"
        )
