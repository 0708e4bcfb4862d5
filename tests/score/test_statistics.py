"""Sums over features, and files of statistics."""

import contextlib
from pathlib import Path

import numpy as np
import pytest

from jaxsd.score import statistics
from jaxsd.score.statistics import FeatureSums, read_statistics, write_statistics

RNG = np.random.default_rng(0)
FEATURES = (RNG.normal(size=(50, 6)) + 3).astype(np.float32)
KEYS = RNG.permutation(50).astype(np.uint64)


def summed(*parts: slice) -> FeatureSums:
    sums = FeatureSums()
    for part in parts:
        sums.add(KEYS[part], FEATURES[part])
    return sums


def test_mean_and_covariance_are_numpys() -> None:
    found = summed(slice(0, 20), slice(20, 50)).statistics("weights")
    np.testing.assert_allclose(found.mean, FEATURES.astype(float).mean(0), rtol=1e-12)
    want = np.cov(FEATURES.astype(float), rowvar=False)
    np.testing.assert_allclose(found.covariance, want, rtol=1e-10)
    assert (found.count, found.weights) == (50, "weights")


def test_the_sample_does_not_depend_on_order_or_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "KEPT", 5)
    whole = summed(slice(0, 50))
    apart = summed(*[slice(i, i + 4) for i in range(0, 24, 4)])
    other = summed(*[slice(i, i + 4) for i in range(24, 50, 4)])
    assert sum(len(keys) for keys, _ in apart.sample) <= 14  # twice as many, and a batch
    other.merge(apart)
    np.testing.assert_array_equal(other.chosen()[1], whole.chosen()[1])
    np.testing.assert_array_equal(whole.chosen()[1], FEATURES[np.argsort(KEYS)[:5]])
    np.testing.assert_allclose(other.statistics("").covariance, whole.statistics("").covariance)


def test_one_picture_has_no_covariance() -> None:
    with pytest.raises(ValueError, match="1 pictures have no covariance"):
        summed(slice(0, 1)).statistics("")
    with pytest.raises(ValueError, match="0 pictures"):
        FeatureSums().statistics("")


def test_files_come_back_as_they_were(tmp_path: Path) -> None:
    stored = summed(slice(0, 50)).statistics("abc")
    write_statistics(tmp_path / "reference.npz", stored)
    found = read_statistics(tmp_path / "reference.npz", 6)
    for name in ("mean", "covariance", "features", "count", "weights"):
        np.testing.assert_array_equal(getattr(found, name), getattr(stored, name))
    assert [path.name for path in tmp_path.iterdir()] == ["reference.npz"]


def test_files_of_pytorch_fid_have_no_features(tmp_path: Path) -> None:
    np.savez(tmp_path / "reference.npz", mu=np.ones(6), sigma=np.eye(6))
    found = read_statistics(tmp_path / "reference.npz", 6)
    assert (found.features, found.count, found.weights) == (None, 0, "")
    assert found.covariance.dtype == np.float64


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"feats": np.ones((4, 6))}, "lacks mu and sigma, which statistics have"),
        ({"mu": np.ones(5), "sigma": np.eye(6)}, r"mu is of shape \(5,\), .* need \(6,\)"),
        ({"mu": np.ones(6), "sigma": np.eye(5)}, "sigma is of shape"),
        ({"mu": np.ones(6), "sigma": np.eye(6), "feats": np.ones((4, 5))}, "feats is of shape"),
        ({"mu": np.full(6, np.nan), "sigma": np.eye(6)}, "not finite"),
        ({"mu": np.full(6, "a"), "sigma": np.eye(6)}, "mu has values of type <U1, not numbers"),
        ({"mu": np.ones(6), "sigma": np.eye(6), "count": np.ones(2)}, "count must be one whole"),
    ],
)
def test_other_files_are_refused_in_one_line(
    arrays: dict[str, np.ndarray], message: str, tmp_path: Path
) -> None:
    np.savez(tmp_path / "reference.npz", **arrays)
    with pytest.raises(ValueError, match=message):
        read_statistics(tmp_path / "reference.npz", 6)


def test_what_grows_beyond_its_file_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrays = {"mu": np.ones(6), "sigma": np.eye(6), "feats": np.zeros((2**16, 6), np.float32)}
    np.savez_compressed(tmp_path / "a.npz", **arrays)
    assert read_statistics(tmp_path / "a.npz", 6).features.shape == (2**16, 6)
    monkeypatch.setattr(statistics, "_SMALL", 2**20)
    with pytest.raises(ValueError, match=r"a\.npz would become 157\d{4} bytes, more than statisti"):
        read_statistics(tmp_path / "a.npz", 6)


@pytest.mark.parametrize("content", [b"PK\x03\x04 and no more", b"", b"\x93NUMPY\x01\0"])
def test_what_is_no_file_of_arrays_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "reference.npz").write_bytes(content)
    with pytest.raises(ValueError, match=r"reference.npz is no \.npz file of statistics"):
        read_statistics(tmp_path / "reference.npz", 6)


def test_files_with_a_damaged_byte_are_read_or_refused(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", mu=np.ones(6), sigma=np.eye(6), count=3)
    whole = (tmp_path / "a.npz").read_bytes()
    for place in range(0, len(whole), 7):
        broken = bytearray(whole)
        broken[place] ^= 255
        (tmp_path / "a.npz").write_bytes(broken)
        with contextlib.suppress(ValueError):
            read_statistics(tmp_path / "a.npz", 6)
