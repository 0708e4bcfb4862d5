"""Which pictures are nearly the same, and where they lie on a sheet."""

from pathlib import Path

import numpy as np
import pytest

from jaxsd.cli.main import run
from jaxsd.images import read_image, write_picture
from jaxsd.score.likeness import BATCH, places, same, seen_by
from jaxsd.score.networks import Network
from jaxsd.score.pictures import pictures_in


def patterns(folder: Path, count: int) -> Path:
    """Pictures of 16 pixels a side, of four colours, named by their number."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(count):
        blocks = rng.integers(0, 256, (2, 2, 3), dtype=np.uint8)
        write_picture(folder / f"{number:02}.png", blocks.repeat(8, axis=0).repeat(8, axis=1))
    return folder


@pytest.mark.parametrize("block", [3, 1024])
def test_rows_join_the_first_one_that_they_are_like(block: int) -> None:
    features = np.random.default_rng(0).standard_normal((12, 64)).astype(np.float32)
    features[7] = features[2] * 1.05
    features[9] = features[2]
    features[11] = features[4] + 0.05 * features[5]
    assert same(features, 0.95, block) == [[2, 7, 9], [4, 11]]
    assert same(features[:7], 0.95, block) == []
    assert same(np.ones((5, 3), np.float32), 0.95, block) == []  # nothing tells them apart


@pytest.mark.parametrize("count", [4, 10, 12, 50])
def test_places_keep_the_order_of_both_coordinates(count: int) -> None:
    points = np.random.default_rng(count).standard_normal((count, 2))
    columns = int(np.ceil(np.sqrt(count)))
    at = places(points)
    assert len(set(at.tolist())) == count
    row, column = np.divmod(at, columns)
    assert row.max() < columns
    for one in range(columns):
        assert points[column == one, 0].min() >= points[column < one, 0].max(initial=-np.inf)
        inside = np.flatnonzero(column == one)
        assert (np.diff(points[inside[np.argsort(row[inside])], 1]) > 0).all()


def test_what_can_not_be_read_is_left_out_and_batches_are_of_one_size(tmp_path: Path) -> None:
    folder = patterns(tmp_path / "pictures", BATCH + 3)
    (folder / "03.png").write_bytes(b"no picture")
    sizes, skipped, done = [], [], []

    def run(inputs: list[np.ndarray]) -> np.ndarray:
        sizes.append(len(inputs))
        return np.stack(inputs).mean(axis=(1, 2))

    seen = seen_by(
        Network(lambda picture, _: picture, run),
        pictures_in(folder),
        8,
        skipped=lambda name, why: skipped.append(name),
        done=done.append,
    )
    assert sizes == [BATCH, BATCH]
    assert skipped == ["03.png"]
    assert done == [BATCH, 3]
    assert seen.names == [f"{n:02}.png" for n in range(BATCH + 3) if n != 3]
    assert seen.small.shape == (BATCH + 2, 8, 8, 3)
    want = [read_image(folder / name).mean(axis=(0, 1)) for name in seen.names]
    np.testing.assert_allclose(seen.features, want, rtol=1e-6)


def mapped(*words: object) -> int:
    with pytest.raises(SystemExit) as ended:
        run(["map", *map(str, words)])
    return ended.value.code or 0


def test_a_folder_becomes_a_sheet_and_doubles_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = patterns(tmp_path / "pictures", 6)
    write_picture(folder / "again.jpg", read_image(folder / "04.png"))
    assert not mapped(folder, "-o", tmp_path / "sheet.png", "--side", 16)
    assert capsys.readouterr().out == "04.png  again.jpg\n"
    sheet = read_image(tmp_path / "sheet.png")
    assert sheet.shape == (64, 64, 3)
    corners = [sheet[4 + 20 * row, 4 + 20 * column] for row in range(3) for column in range(3)]
    assert sum((corner == 255).all() for corner in corners) == 2  # seven of nine places
    assert len(np.unique(corners, axis=0)) >= 7


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--alike", 0], "--alike 0.0 is not above 0 and at most 1"),
        (["--side", 0], "--side 0 is not a number of pixels of at least 1"),
        (["--clip", "missing"], "no CLIP at missing: no such file or folder"),
        (["-o", "map.txt"], "map.txt"),
        ([], "has 3 pictures; a map has at least 4"),
    ],
)
def test_a_mistake_is_one_line(
    words: list, complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = patterns(tmp_path / "pictures", 4 if words else 3)
    output = [] if "-o" in words else ["-o", tmp_path / "map.png"]
    assert mapped(folder, *words, *output) == 2
    assert complaint in capsys.readouterr().err
