"""What the files of a model leave open, and a reader may say."""

from dataclasses import dataclass, field, fields
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The options of `open_model`: flags of every command that opens a model, and keys of runs.

    Attributes:
      prediction: "epsilon", "v" or "sample", for files that do not say it, or say it wrongly.
      ema: which U-Net to read where there are two: the average of training (`True`, and `None`), or
        the last (`False`).
      strict: whether tensors inside of a part that it does not have are an error; `False` leaves
        them aside.
    """

    prediction: str | None = field(
        default=None,
        metadata={"help": "what the U-Net predicts, where files do not say it: epsilon, v, sample"},
    )
    ema: bool | None = field(
        default=None,
        metadata={"help": "the U-Net to read where there are two: training's average, or the last"},
    )
    strict: bool = field(
        default=True,
        metadata={"help": "refuse files with tensors that their networks do not have (yes)"},
    )

    @property
    def reading(self) -> dict[str, Any]:
        """These options alone, as arguments of `open_model`."""
        return {one.name: getattr(self, one.name) for one in fields(Reading)}

    @property
    def stated(self) -> dict[str, Any]:
        """Of them, those that are not the defaults."""
        return {name: v for name, v in self.reading.items() if v != getattr(Reading, name)}
