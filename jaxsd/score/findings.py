"""What hosts found out about their shares of the pictures, and how the first host merges it."""

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxsd.score.facts import Fact, Unreadable
from jaxsd.score.statistics import FeatureSums
from jaxsd.text_files import decoded, table_of
from jaxsd.writing import replacing

LOOK_AGAIN = 0.2
"""Seconds between the first host's checks for the others' findings."""


@dataclass
class Findings:
    """What is known of some pictures.

    Attributes:
      facts: of each picture, in order.
      sums: over Inception's features; empty if Inception was not run.
      cosines: name of a picture -> cosine between it and its prompt, of those that have one.
    """

    facts: list[Fact | Unreadable] = field(default_factory=list)
    sums: FeatureSums = field(default_factory=FeatureSums)
    cosines: dict[str, float] = field(default_factory=dict)


class Hosts(NamedTuple):
    """The number of this host, how many hosts there are, their shared folder, and a run id."""

    number: int
    count: int
    folder: Path
    run: str

    def together(self, findings: Findings, name: str) -> Findings | None:
        """All hosts' findings on the first host, which waits for them; None on the others.

        Host i has looked at pictures i, i + count, i + 2 * count, ... If a host dies, JAX's
        runtime ends the others, so that none waits for ever.
        """
        if self.count == 1:
            return findings
        if self.number:
            self.folder.mkdir(parents=True, exist_ok=True)  # not removed: others write there too
            save(self._path(name, self.number), findings)
            return None
        parts = [findings] + [self._waited(self._path(name, i)) for i in range(1, self.count)]
        return merged(parts)

    def _path(self, name: str, number: int) -> Path:
        return self.folder / f".{self.run}-{name}-{number}.npz"

    def _waited(self, path: Path) -> Findings:
        while not path.is_file():
            time.sleep(LOOK_AGAIN)
        findings = load(path)
        path.unlink()
        return findings


def merged(parts: list[Findings]) -> Findings:
    """The findings of all pictures; host i of n had pictures i, i + n, i + 2 n, ..."""
    facts: list[Fact | Unreadable] = [None] * sum(len(part.facts) for part in parts)
    whole = Findings(facts)
    for i, part in enumerate(parts):
        facts[i :: len(parts)] = part.facts
        whole.sums.merge(part.sums)
        whole.cosines |= part.cosines
    return whole


def save(path: Path, findings: Findings) -> None:
    """Writes findings to a temporary file and renames it."""
    text = json.dumps({"facts": findings.facts, "cosines": findings.cosines}).encode()
    arrays = {"text": np.frombuffer(text, np.uint8)}
    sums = findings.sums
    if sums.count:
        keys, features = sums.chosen()
        arrays |= {"count": sums.count, "total": sums.total, "products": sums.products}
        arrays |= {"keys": keys, "features": features}
    with replacing(path) as part, part.open("wb") as file:
        np.savez(file, **arrays)


def load(path: Path) -> Findings:
    """What `save` wrote.

    Raises:
      ValueError: it is damaged.
    """
    try:
        with np.load(path) as arrays:
            said = table_of(decoded(arrays["text"].tobytes(), path), path)
            facts = [_fact(values) for values in said["facts"]]
            findings = Findings(facts, cosines=said["cosines"])
            if "count" in arrays:
                sample = [(arrays["keys"], arrays["features"])]
                sums = (int(arrays["count"]), arrays["total"], arrays["products"], sample)
                findings.sums = FeatureSums(*sums)
    except Exception:  # NumPy lets errors of every kind pass
        raise ValueError(f"{path} is damaged; score again on all hosts") from None
    return findings


def _fact(values: list) -> Fact | Unreadable:
    if len(values) == len(Unreadable._fields):
        return Unreadable(*values)
    *plain, measures = values
    return Fact(*plain, tuple(measures))
