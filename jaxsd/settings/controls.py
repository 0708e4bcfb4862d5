"""Pictures that networks beside the U-Net look at."""

import re
from collections.abc import Sequence
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


_BLOCK = re.compile(r"mid|(down|up)(\.\d+(\.\d+)?)?")


@dataclass(frozen=True)
class ImagePrompt(Control):
    """A picture beside the prompt, and the file of the IP-Adapter that shows it to the U-Net.

    Attributes:
      blocks: weights of parts of the U-Net, as `up.0.1=1,down.2=0.5`, in place of `weight`; other
        parts do not see the picture (Wang et al. 2024, "InstantStyle").
    """

    blocks: str = ""

    OPTION: ClassVar[str] = "ip_adapter"

    @classmethod
    def _model_and_kind(cls, text: str) -> tuple[str, str]:
        return text, ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """`IMAGE:MODEL[:WEIGHT[:FROM:TO]]`, where WEIGHT may be `BLOCK=WEIGHT,...`.

        Raises:
          ValueError: a text that is not of this form.
        """
        parts = text.split(":")
        if len(parts) > 2 and "=" in parts[2]:
            blocks, parts[2] = parts[2], "1"
            return replace(super().parse(":".join(parts)), blocks=blocks)
        return super().parse(text)

    def __str__(self) -> str:
        weight = self.blocks or self.weight
        return f"{self.image}:{self.model}:{weight}:{self.first}:{self.last}"

    @property
    def by_block(self) -> dict[str, float]:
        """The weights of parts of the U-Net by `down.2.1`, `down.2`, `down`, `mid`.

        Raises:
          ValueError: a text that is not of this form.
        """
        weights = {}
        for one in self.blocks.split(",") if self.blocks else ():
            block, equals, weight = one.partition("=")
            if not equals or not _BLOCK.fullmatch(block):
                raise ValueError(
                    f"{self.OPTION} {one!r} is not BLOCK=WEIGHT, where BLOCK is down, mid, up, or "
                    "the number of a block and of an attention in it, such as up.0 and up.0.1"
                )
            weights[block] = parsed(float, weight, f"{self.OPTION} {one!r}:")
        return weights

    def weights_of(self, attentions: Sequence[str]) -> list[float]:
        """The weight of each of a U-Net's cross-attentions, which are given by their paths.

        The weight of the smallest part that an attention belongs to counts.

        Raises:
          ValueError: a part that has no cross-attention.
        """
        if not self.blocks:
            return [self.weight] * len(attentions)
        weights = [0.0] * len(attentions)
        for block, weight in sorted(self.by_block.items(), key=lambda one: one[0].count(".")):
            begins = _path(block)
            own = [n for n, path in enumerate(attentions) if path.startswith(begins)]
            if not own:
                parts = sorted({_label(path) for path in attentions})
                raise ValueError(
                    f"{self.OPTION} {block}={weight:g}: this U-Net has no such cross-attention; it "
                    f"has {', '.join(parts)}"
                )
            for n in own:
                weights[n] = weight
        return weights


def _path(block: str) -> str:
    """How paths of a part of the U-Net begin: `up.0.1` is `up_blocks_0/attentions_1/`."""
    stage, *numbers = block.split(".")
    if stage == "mid":
        return "mid_block/"
    return f"{stage}_blocks_" + "/attentions_".join(numbers) + "/" * bool(numbers)


def _label(path: str) -> str:
    """The inverse, of an attention."""
    found = re.match(r"(\w+)_block(?:s_(\d+)/attentions_(\d+))?", path)
    return ".".join(part for part in found.groups() if part)


def runs_of(controls: Sequence[Control], *, at_once: bool) -> list[tuple[int, ...]]:
    """The numbers of the controls that share a run of a network, in the order of the first ones.

    Args:
      controls: checked.
      at_once: whether a ControlNet-Union sees all of its pictures in one run.

    Raises:
      ValueError: they share a run, and begin or end at different places.
    """
    runs: dict[object, list[int]] = {}
    for number, one in enumerate(controls):
        runs.setdefault(one.model if one.kind and at_once else number, []).append(number)
    for own in runs.values():
        first, *others = (controls[number] for number in own)
        for one in others:
            if (one.first, one.last) != (first.first, first.last):
                raise ValueError(
                    f"{one.OPTION} {str(one)!r} and {str(first)!r} share a run of the network by "
                    "union_at_once; give them the same FROM and TO"
                )
    return [tuple(own) for own in runs.values()]


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
