"""`jaxsd score` as people run it: plain facts, a CLIP, Inception on one device and on eight."""

import errno
import io
import json
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
import pytest
from clip_fakes import tiny_clip
from forked import Forked
from PIL import Image
from score_folders import folder_of, image

from jaxsd.cli.main import run
from jaxsd.images import clean_resize, image_size, png_bytes
from jaxsd.score.distances import kernel_distance
from jaxsd.score.statistics import read_statistics


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("caches")))
        yield
    jax.config.update("jax_compilation_cache_dir", None)


def score(*args: object) -> int:
    with pytest.raises(SystemExit) as ended:
        run(["score", *map(str, args)])
    return ended.value.code or 0


def numbers_in(folder: Path) -> dict:
    return json.loads((folder / "score.json").read_text())


def test_plain_facts_need_no_network(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = folder_of(tmp_path / "run", 4)
    (folder / "images/copy.png").write_bytes(png_bytes(image(2)))
    (folder / "images/large.png").write_bytes(png_bytes(image(7, (30, 10))))
    (folder / "images/broken.png").write_bytes(b"nothing")
    assert score(folder) == 0
    said = capsys.readouterr().out
    assert "duplicates    images/2.png = images/copy.png" in said
    assert "unreadable    images/broken.png (no picture of a known kind: PNG, " in said
    assert "for FID and KID give --inception and --reference, for CLIP scores --clip" in said
    found = numbers_in(tmp_path / "run-score")
    assert found["pictures"] == 6
    assert found["sizes"] == {"24x20": 5, "10x30": 1}
    assert found["measures"]["brightness"]["mean"] == pytest.approx(0.5, abs=0.03)
    # Six pictures of 128 pixels in three columns and two rows.
    assert image_size(tmp_path / "run-score/contact_sheet.png") == (2 * 132 + 4, 3 * 132 + 4)


def test_names_are_escaped_and_any_name_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = folder_of(tmp_path / "run", 1)
    for name in (b"\x1b[31m\nred.png", b"no-utf-8-\xff.png", b"n" * 240 + b".png"):
        (folder / os.fsdecode(name)).write_bytes(b"nothing")
    buffer = io.BytesIO()
    Image.new("L", (8, 8)).save(buffer, "BMP")
    large = buffer.getvalue()[:18] + struct.pack("<ii", 10_000, 10_000) + buffer.getvalue()[26:]
    (folder / "large.bmp").write_bytes(large)
    assert score(folder) == 0
    said = capsys.readouterr()
    assert "Image size" not in said.err
    lines = said.out.splitlines()
    assert "10000 x 10000 pixels, more than 67,108,864 are not read" in "".join(lines)
    assert all(line.isprintable() and len(line) <= 1000 + 14 for line in lines)
    assert "\\x1b[31m\\nred.png (no picture of a known kind: PNG, " in "".join(lines)
    names = [one["name"] for one in numbers_in(tmp_path / "run-score")["unreadable"]]
    assert "no-utf-8-\udcff.png" in names


def test_what_was_written_stays_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = folder_of(tmp_path / "run", 1)
    assert score(folder) == 0
    before = (tmp_path / "run-score/score.json").read_bytes()

    def full(self: Path, text: str, **_: object) -> None:
        self.write_bytes(text[:9].encode())
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    capsys.readouterr()
    assert score(folder) == 2
    assert capsys.readouterr().err.splitlines()[-1].endswith("run-score/score.json'")
    assert (tmp_path / "run-score/score.json").read_bytes() == before
    assert len(os.listdir(tmp_path / "run-score")) == 2


def test_clip_scores(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = folder_of(tmp_path / "run", 3, manifest=True)
    (folder / "images/other.png").write_bytes(png_bytes(image(9)))
    clip = tiny_clip(tmp_path / "clip")
    assert score(folder, "--clip", clip, "-o", tmp_path / "out", "--batch-size", 2) == 0
    found = numbers_in(tmp_path / "out")["clip"]
    assert found["pictures"] == 3  # the fourth has no prompt
    assert set(found["lowest"]) == {f"images/{i}.png" for i in range(3)}
    assert "of 3 pictures" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["absent"], "no pictures at absent"),
        (["."], ". has no pictures"),
        ([".", "--batch-size", "0"], "--batch-size is 0, it must be more than 0"),
        ([".", "--reference", "x"], "--reference and --save-statistics need --inception"),
        ([".", "--inception", "x.pth"], "--inception needs a --reference to compare with"),
        (["run", "--inception", "x.pth", "--reference", "no"], "no pictures at no"),
        (["run", "--inception", "x.pth", "--reference", "bad.npz"], "bad.npz is no .npz file"),
        (
            ["run", "--inception", "x.pth", "--save-statistics", "s.npz"],
            "no Inception weights at x",
        ),
        (["run", "--inception", "x.pth", "--save-statistics", "s"], "--save-statistics s is not a"),
        (["run", "--clip", "nowhere"], "no CLIP at nowhere"),
        (["run", "-o", "bad.npz/out"], "[Errno 20] Not a directory: 'bad.npz'"),
        (["run", "--coordinator", "localhost:1"], "--coordinator, --hosts and --host belong"),
    ],
)
def test_mistakes_are_one_line(
    args: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    if args[0] == "run":
        folder_of(tmp_path / "run", 1)
        (tmp_path / "bad.npz").write_bytes(b"nothing")
    assert score(*args) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert said[0].startswith(f"jaxsd score: {message}")


def command(home: Path, *args: object, devices: int) -> Forked:
    environment = {"XDG_CACHE_HOME": str(home), "JAX_NUM_CPU_DEVICES": str(devices)}
    return Forked("score", *args, environment=environment)


@pytest.mark.slow
def test_devices_and_hosts_give_the_same_numbers(tmp_path: Path) -> None:
    """Eight devices, and two hosts of two devices, beside one device."""
    folder = folder_of(tmp_path / "run", 7, manifest=True)
    clip = tiny_clip(tmp_path / "clip")
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    both = ["--coordinator", f"localhost:{port}", "--hosts", 2, "--host"]
    runs = {"one": (1, []), "eight": (8, []), "first": (2, [*both, 0]), "second": (2, [*both, 1])}
    begun = {}
    for name, (devices, options) in runs.items():
        output = tmp_path / ("hosts" if options else name)
        args = (folder, "--clip", clip, "--batch-size", 1, "-o", output, *options)
        begun[name] = command(tmp_path / "cache", *args, devices=devices)
    said = {name: process.communicate(timeout=600) for name, process in begun.items()}
    assert {name: process.returncode for name, process in begun.items()} == dict.fromkeys(runs, 0)
    assert ["brightness" in out for out, _ in said.values()] == [True, True, True, False]
    one = numbers_in(tmp_path / "one")
    for name in ("eight", "hosts"):
        found = numbers_in(tmp_path / name)
        means = found["clip"].pop("mean"), one["clip"]["mean"]
        assert means[0] == pytest.approx(means[1], abs=1e-4)  # order of float32 sums
        assert {**found, "clip": found["clip"]["lowest"].keys()} == {
            **one,
            "clip": one["clip"]["lowest"].keys(),
        }
    assert sorted(path.name for path in (tmp_path / "hosts").iterdir()) == [
        "contact_sheet.png",
        "score.json",
    ]


@pytest.mark.release
def test_fid_and_kid_are_those_of_torchs_features(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Weights in a file that torch wrote, pictures in files; the distances are tested by hand."""
    torch = pytest.importorskip("torch")
    from inception_twin import random_twin

    twin = random_twin()
    torch.save(twin.state_dict(), tmp_path / "inception.pth")
    wanted = []
    for name, first in (("own", 0), ("other", 10)):
        (tmp_path / name).mkdir()
        images = [image(first + i) for i in range(3)]
        for i, one in enumerate(images):
            (tmp_path / name / f"{i}.png").write_bytes(png_bytes(one))
        pictures = np.stack([(clean_resize(one, 299) - 128) / 128 for one in images])
        with torch.no_grad():
            features = twin(torch.from_numpy(pictures.transpose(0, 3, 1, 2).copy()))
        wanted.append(features.numpy().astype(np.float64))
    given = ["--inception", tmp_path / "inception.pth", "--reference", tmp_path / "other"]
    kept = tmp_path / "own.npz"
    assert score(tmp_path / "own", *given, "--batch-size", 2, "--save-statistics", kept) == 0
    assert "compare it with that of as many others only" in capsys.readouterr().out
    found, stored = numbers_in(tmp_path / "own-score"), read_statistics(kept, 2048)
    own, other = wanted
    largest = np.abs(own).max()
    np.testing.assert_allclose(np.sort(stored.features, 0), np.sort(own, 0), atol=2e-5 * largest)
    np.testing.assert_allclose(stored.mean, own.mean(0), atol=2e-5 * largest)
    # Of three pictures each: singular values of a matrix of 2048 rows and columns are those of a
    # product of what is left when the means are taken off, which has three.
    apart, (ours, theirs) = own.mean(0) - other.mean(0), (f - f.mean(0) for f in wanted)
    cross = np.linalg.svd(ours @ theirs.T / 2, compute_uv=False).sum()
    fid = (apart**2).sum() + ((ours**2).sum() + (theirs**2).sum()) / 2 - 2 * cross
    assert found["fid"] == pytest.approx(fid, rel=1e-3)  # features of float32
    assert found["kid"] == pytest.approx(kernel_distance(other, own)[0], rel=1e-2)
    assert found["reference_pictures"] == 3
