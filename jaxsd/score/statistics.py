"""Statistics of the features of many pictures, for FID and KID, and their files."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from jaxsd.types import Array
from jaxsd.writing import replacing

KEPT = 50_000
"""Features that are kept for KID, at most: 400 MB."""

_NAMES = {"mu", "sigma", "feats", "count", "weights"}
_NO_STATISTICS = "is no .npz file of statistics, or a damaged one"
_SMALL, _RATIO = 2**26, 20
"""Bytes that any file may become; times its size that a larger one may. Features do not get smaller
when they are compressed; zeros do, a thousand times.
"""
_SAVE = "save them with numpy.savez"


@dataclass
class FeatureSums:
    """Sums over features, and a random sample of them: the same in any order and on any hosts.

    The sample has the pictures with the lowest keys, which are hashes.
    """

    count: int = 0
    total: Array = 0.0  # [d] float64
    products: Array = 0.0  # [d, d] float64
    sample: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)  # keys and features

    def add(self, keys: np.ndarray, features: np.ndarray) -> None:
        """Adds features [B, d] float32 of pictures with keys [B] uint64."""
        wide = features.astype(np.float64)
        self.merge(FeatureSums(len(wide), wide.sum(0), wide.T @ wide, [(keys, features)]))

    def merge(self, other: "FeatureSums") -> None:
        """Adds the sums and the sample of another."""
        self.count += other.count
        self.total = self.total + other.total
        self.products = self.products + other.products
        self.sample += other.sample
        if sum(len(keys) for keys, _ in self.sample) > 2 * KEPT:
            self.sample = [self.chosen()]

    def chosen(self) -> tuple[np.ndarray, np.ndarray]:
        """Keys [n] uint64 and features [n, d] of the sample, in the order of keys."""
        keys, features = (np.concatenate(parts) for parts in zip(*self.sample, strict=True))
        order = np.argsort(keys, kind="stable")[:KEPT]
        return keys[order], features[order]

    def statistics(self, weights: str) -> "Statistics":
        """Mean, covariance and sample; `weights` as in `Statistics`.

        Raises:
          ValueError: fewer than two pictures.
        """
        if self.count < 2:
            raise ValueError(f"{self.count} pictures have no covariance; give 2 or more")
        mean = self.total / self.count
        covariance = (self.products - self.count * np.outer(mean, mean)) / (self.count - 1)
        return Statistics(mean, covariance, self.chosen()[1], self.count, weights)


@dataclass(frozen=True)
class Statistics:
    """What FID and KID compare.

    Attributes:
      mean: [d] float64.
      covariance: [d, d] float64, of a sample (divided by one less than the count).
      features: [n, d] float32, all or a sample; None if a file has none, then there is no KID.
      count: of pictures; 0 where a file does not say.
      weights: hash of the network's weights; empty where a file does not say.
    """

    mean: np.ndarray
    covariance: np.ndarray
    features: np.ndarray | None
    count: int
    weights: str


def write_statistics(path: Path, statistics: Statistics) -> None:
    """Writes `mu` and `sigma`, as pytorch-fid and clean-fid do, `feats`, `count` and `weights`.

    Writes a temporary file first, and renames it.
    """
    with replacing(path) as part, part.open("wb") as file:  # np.savez would add an ending to a name
        np.savez(
            file,
            mu=statistics.mean,
            sigma=statistics.covariance,
            feats=statistics.features,
            count=statistics.count,
            weights=statistics.weights,
        )


def read_statistics(path: Path, dim: int) -> Statistics:
    """Statistics as `write_statistics`, pytorch-fid and clean-fid store them.

    Args:
      dim: required number of features per picture.

    Raises:
      ValueError: not a file of such arrays, or with another number of features.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            size = sum(one.file_size for one in stored.zip.infolist())
            fits = size <= max(_SMALL, _RATIO * path.stat().st_size)
            arrays = {name: stored[name] for name in _NAMES & set(stored.files) if fits}
    except OSError as error:
        if error.errno is not None:
            raise
        raise ValueError(f"{path} {_NO_STATISTICS}") from None
    except Exception:  # NumPy lets errors of every kind pass
        raise ValueError(f"{path} {_NO_STATISTICS}") from None
    if not fits:
        raise ValueError(f"{path} would become {size} bytes, more than statistics do; {_SAVE}")
    if lacking := sorted({"mu", "sigma"} - set(arrays)):
        raise ValueError(f"{path} lacks {' and '.join(lacking)}, which statistics have")
    for name in {"mu", "sigma", "feats"} & set(arrays):
        if arrays[name].dtype.kind not in "fiu":
            raise ValueError(f"{path}: {name} has values of type {arrays[name].dtype}, not numbers")
    features = arrays.get("feats")
    mean, covariance = (arrays[name].astype(np.float64) for name in ("mu", "sigma"))
    shapes = {"mu": (mean.shape, (dim,)), "sigma": (covariance.shape, (dim, dim))}
    if features is not None:
        shapes["feats"] = (features.shape[1:], (dim,))
    for name, (found, wanted) in shapes.items():
        if found != wanted:
            raise ValueError(f"{path}: {name} is of shape {found}, these features need {wanted}")
    if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
        raise ValueError(f"{path} has numbers that are not finite")
    count = arrays.get("count", np.array(0))
    if count.shape or count.dtype.kind not in "iu":
        raise ValueError(f"{path}: count must be one whole number")
    return Statistics(mean, covariance, features, int(count), str(arrays.get("weights", "")))
