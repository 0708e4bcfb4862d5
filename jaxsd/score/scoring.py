"""From pictures to score.json: what to compare with, the numbers, the files. Without JAX."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

import jaxsd
from jaxsd.images import contact_sheet, thumbnail, write_picture
from jaxsd.inception import FEATURES
from jaxsd.score.facts import Fact, Unreadable
from jaxsd.score.findings import Findings
from jaxsd.score.pictures import Picture, pictures_in, read_picture
from jaxsd.score.report import Numbers, clip_numbers, distances, plain_numbers
from jaxsd.score.statistics import Statistics, read_statistics, write_statistics
from jaxsd.writing import check_writable, replacing

SHEET = 64
"""Pictures on the contact sheet, at most."""
SIDE = 128
"""Width and height of each, in pixels."""


class Asked(NamedTuple):
    """The arguments of `jaxsd score`."""

    folder: str
    inception: str | None
    reference: str | None
    save_statistics: str | None
    clip: str | None
    batch_size: int

    def check(self) -> None:
        """Refuses arguments that do not fit together.

        Raises:
          ValueError: in one line, with their names.
          OSError: the statistics can not be written.
        """
        if self.batch_size < 1:
            raise ValueError(f"--batch-size is {self.batch_size}, it must be more than 0")
        if (self.reference or self.save_statistics) and not self.inception:
            raise ValueError(
                "--reference and --save-statistics need --inception, a file of weights"
            )
        if self.inception and not (self.reference or self.save_statistics):
            raise ValueError(
                "--inception needs a --reference to compare with, or --save-statistics"
            )
        if self.save_statistics:
            kept = Path(self.save_statistics)
            if kept.suffix != ".npz" or not kept.parent.is_dir():
                raise ValueError(
                    f"--save-statistics {kept} is not a .npz file in a folder that exists"
                )
            check_writable(kept.parent)


def some_pictures(place: str, flag: str = "") -> list[Picture]:
    """The pictures of a folder; `flag` is the option that named it, for the message.

    Raises:
      ValueError: there are none.
    """
    pictures = pictures_in(Path(place))
    if not pictures:
        raise ValueError(f"{flag}{place} has no pictures")
    return pictures


def reference_of(place: str | None) -> tuple[Statistics | None, list[Picture]]:
    """The statistics of a file, or the pictures of a folder."""
    if place is None:
        return None, []
    path = Path(place)
    if path.is_file() and path.suffix == ".npz":
        return read_statistics(path, FEATURES), []
    return None, some_pictures(place, "--reference ")


def numbers_of(
    asked: Asked, findings: Findings, reference: Statistics | Findings | None, weights: str
) -> Numbers:
    """The numbers for all pictures; also saves statistics if `asked` says so.

    Args:
      asked: says what to compute.
      findings: of the pictures.
      reference: statistics to compare with, or the findings of the reference's pictures.
      weights: hash of Inception's weights.
    """
    numbers = {"version": jaxsd.__version__, "folder": asked.folder}
    numbers |= plain_numbers(findings.facts)
    if asked.inception:
        own = findings.sums.statistics(weights)
        if asked.save_statistics:
            write_statistics(Path(asked.save_statistics), own)
        if isinstance(reference, Findings):
            reference = reference.sums.statistics(weights)
        if reference is not None:
            numbers |= {"reference": asked.reference, **distances(own, reference)}
    if asked.clip:
        numbers["clip"] = clip_numbers(findings.cosines)
    return numbers


def write(
    output: Path, numbers: Numbers, pictures: Sequence[Picture], facts: Sequence[Fact | Unreadable]
) -> None:
    """Writes score.json and contact_sheet.png."""
    output.mkdir(parents=True, exist_ok=True)
    text = json.dumps(numbers, indent=2, ensure_ascii=False) + "\n"
    # Names of files may have bytes that are no UTF-8: as escapes, which JSON has as well.
    with replacing(output / "score.json") as part:
        part.write_text(text, encoding="utf-8", errors="backslashreplace")
    both = zip(pictures, facts, strict=True)
    good = [picture for picture, fact in both if isinstance(fact, Fact)]
    if good:
        chosen = good[:: -(-len(good) // SHEET)]
        sheet = np.stack([thumbnail(read_picture(picture), SIDE) for picture in chosen])
        write_picture(output / "contact_sheet.png", contact_sheet(sheet))
