"""Findings as numbers for programs, and as a table for people."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from jaxsd.inception import FEATURES
from jaxsd.score.distances import frechet_distance, kernel_distance
from jaxsd.score.facts import MEASURES, Fact, Unreadable
from jaxsd.score.statistics import Statistics
from jaxsd.terminal import printable

Numbers = dict[str, Any]
"""What `score.json` holds, or a part of it."""
SHOWN = 5
"""Names that a line of the table has, at most."""
NAME = 150
"""Characters of each, at most."""


def plain_numbers(facts: Sequence[Fact | Unreadable]) -> Numbers:
    """The numbers that need no network."""
    known = [fact for fact in facts if isinstance(fact, Fact)]
    alike: dict[str, list[str]] = {}
    for fact in known:
        alike.setdefault(fact.digest, []).append(fact.name)
    contrast = MEASURES.index("contrast")
    sizes = Counter(f"{fact.width}x{fact.height}" for fact in known)
    return {
        "pictures": len(known),
        "unreadable": [fact._asdict() for fact in facts if isinstance(fact, Unreadable)],
        "sizes": dict(sizes.most_common()),
        "duplicates": [names for names in alike.values() if len(names) > 1],
        "blank": [fact.name for fact in known if fact.measures[contrast] == 0],
        "measures": {
            name: spread([fact.measures[i] for fact in known]) for i, name in enumerate(MEASURES)
        },
    }


def spread(values: Sequence[float]) -> Numbers:
    """Mean, standard deviation and range; empty if there are no values."""
    if not values:
        return {}
    array = np.array(values)
    names = ("mean", "std", "min", "max")
    return {name: round(float(getattr(array, name)()), 6) for name in names}


def distances(own: Statistics, reference: Statistics) -> Numbers:
    """FID and, where the reference has features, KID.

    Raises:
      ValueError: fewer than two features on a side, or features of another network.
    """
    if reference.weights not in ("", own.weights):
        raise ValueError(
            f"the reference is of Inception weights {reference.weights[:10]}, not of "
            f"{own.weights[:10]}, which --inception has; make it again"
        )
    two = own.mean, own.covariance, reference.mean, reference.covariance
    numbers: Numbers = {"fid": frechet_distance(*two), "reference_pictures": reference.count}
    if reference.features is not None:
        kid, error = kernel_distance(reference.features, own.features)
        numbers |= {"kid": kid, "kid_error": error}
    return numbers


def clip_numbers(cosines: dict[str, float]) -> Numbers:
    """CLIP scores, 100 times the cosine and never negative, and the pictures with the lowest."""
    scores = {name: 100 * max(cosine, 0.0) for name, cosine in cosines.items()}
    lowest = sorted(scores, key=lambda name: (scores[name], name))[:SHOWN]
    return {
        "pictures": len(scores),
        **spread(list(scores.values())),
        "lowest": {name: round(scores[name], 4) for name in lowest},
    }


def table(numbers: Numbers) -> list[str]:
    """The lines of a table."""
    rows = [("pictures", str(numbers["pictures"])), ("sizes", _sizes(numbers["sizes"]))]
    unreadable = [f"{one['name']} ({one['error']})" for one in numbers["unreadable"]]
    rows.append(("unreadable", _some(unreadable)))
    copies = [" = ".join(names) for names in numbers["duplicates"]]
    rows.append(("duplicates", _some(copies)))
    rows.append(("of one colour", _some(numbers["blank"])))
    rows += [(name, _spread(values)) for name, values in numbers["measures"].items() if values]
    if "fid" in numbers:
        rows.append(("FID", f"{numbers['fid']:.4f}{_caution(numbers)}"))
    if "kid" in numbers:
        rows.append(("KID", f"{numbers['kid']:.6f} +- {numbers['kid_error']:.6f}"))
    elif "fid" in numbers:
        rows.append(("KID", "needs features, which the reference's file does not have"))
    if "clip" in numbers:
        rows += _clip(numbers["clip"])
    return [f"{name:14}{printable(text)}" for name, text in rows]


def _caution(numbers: Numbers) -> str:
    """A warning for a FID of few pictures, whose covariances are not known well."""
    fewest = min(numbers["pictures"], numbers["reference_pictures"] or FEATURES)
    if fewest >= FEATURES:
        return ""
    return f", of {fewest} pictures: compare it with that of as many others only"


def _clip(clip: Numbers) -> Iterable[tuple[str, str]]:
    if not clip["pictures"]:
        yield "CLIP score", "no picture has a prompt"
        return
    yield "CLIP score", f"{_spread(clip)}, of {clip['pictures']} pictures"
    yield "lowest", _some([f"{name} {score:.2f}" for name, score in clip["lowest"].items()])


def _spread(values: Numbers) -> str:
    return "{mean:.4g} +- {std:.4g}, {min:.4g} to {max:.4g}".format(**values)


def _sizes(sizes: dict[str, int]) -> str:
    return _some([f"{count} of {size}" for size, count in sizes.items()])


def _some(texts: Sequence[str]) -> str:
    if not texts:
        return "none"
    rest = f" and {len(texts) - SHOWN} more" if len(texts) > SHOWN else ""
    return ", ".join(printable(text, NAME) for text in texts[:SHOWN]) + rest
