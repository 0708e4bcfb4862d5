"""Image folders: what is read, which batch a picture is in, what broken files cost."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jaxsd.images import image_size, read_cropped, read_image
from jaxsd.training.folder import (
    Batches,
    Folder,
    all_decoded,
    bucket_sizes,
    in_buckets,
    read_folder,
)


def save(folder: Path, name: str, height: int, width: int, value: int = 0) -> Path:
    folder.mkdir(exist_ok=True)
    Image.fromarray(np.full((height, width, 3), value, np.uint8)).save(folder / name)
    return folder / name


def write_half(path: Path) -> None:
    """A picture that breaks off after its header."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve pictures: six squares, four high, two wide."""
    sides = [(64, 64)] * 6 + [(96, 48)] * 4 + [(48, 96)] * 2
    for i, (height, width) in enumerate(sides):
        save(tmp_path, f"{i:02d}.png", height, width, value=i * 10)
    return tmp_path


def batches_of(folder: Folder, batch_size: int, seed: int) -> Batches:
    return Batches(in_buckets(folder.sizes, bucket_sizes(64, 16, 2.0)), batch_size, seed)


def test_without_a_table_every_picture_has_the_caption(folder: Path) -> None:
    found = read_folder(folder, "a photo")
    assert list(found.names) == [f"{i:02d}.png" for i in range(12)]
    assert set(found.texts) == {("a photo",)}
    assert found.sizes.tolist()[5:7] == [[64, 64], [96, 48]]


def test_the_table_has_the_captions(folder: Path) -> None:
    rows = [{"file_name": "03.png", "text": "x"}, {"file_name": "01.png", "texts": ["y", "z"]}]
    (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    found = read_folder(folder)
    assert found.names == ("03.png", "01.png")
    assert found.texts == (("x",), ("y", "z"))


def test_buckets_hold_no_more_than_the_area_and_keep_the_aspect() -> None:
    sizes = bucket_sizes(512, 64, 2.0)
    assert (sizes % 64 == 0).all()
    assert (sizes.prod(1) <= 512**2).all()
    assert (sizes.max(1) / sizes.min(1) <= 2).all()
    assert [512, 512] in sizes.tolist()
    assert [704, 320] not in sizes.tolist()  # 2.2 times as high as wide
    assert sorted(map(tuple, sizes.tolist())) == sorted((w, h) for h, w in sizes.tolist())
    assert bucket_sizes(512, 64, 1.0).tolist() == [[512, 512]]


def test_an_epoch_has_every_picture_in_a_batch_of_its_shape(folder: Path) -> None:
    found = read_folder(folder)
    batches = batches_of(found, 2, seed=3)
    assert batches.an_epoch == 6
    for epoch in range(2):
        plan = [batches.rows(epoch * 6 + i) for i in range(6)]
        assert sorted(np.concatenate([rows for _, rows in plan])) == list(range(12))
        for (height, width), rows in plan:
            wanted = found.sizes[rows]
            assert (np.sign(wanted[:, 0] - wanted[:, 1]) == np.sign(height - width)).all()
    assert [r.tolist() for _, r in (batches.rows(i) for i in range(6))] != [
        r.tolist() for _, r in (batches.rows(i + 6) for i in range(6))
    ]


def test_a_batch_depends_on_seed_and_number_alone(folder: Path) -> None:
    found = read_folder(folder)
    first, second = (batches_of(found, 2, seed=3) for _ in range(2))
    late = second.rows(40)[1]
    for number in range(40):
        first.rows(number)
    np.testing.assert_array_equal(first.rows(40)[1], late)


def test_batches_are_full_though_a_bucket_is_small(folder: Path) -> None:
    batches = batches_of(read_folder(folder), 4, seed=0)
    assert {len(batches.rows(i)[1]) for i in range(batches.an_epoch)} == {4}


def test_pictures_are_scaled_to_cover_and_cut_in_the_middle(tmp_path: Path) -> None:
    pixels = np.zeros((40, 80, 3), np.uint8)
    pixels[:, 20:60] = 200  # the middle half
    Image.fromarray(pixels).save(tmp_path / "a.png")
    picture, top, left = read_cropped(tmp_path / "a.png", 20, 20)
    assert (top, left) == (0, 10)
    assert picture.shape == (20, 20, 3)
    assert picture[:, 2:-2].min() > 190


def test_pictures_are_upright_and_on_white(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by a quarter
    Image.fromarray(np.zeros((10, 30, 3), np.uint8)).save(tmp_path / "a.jpg", exif=exif)
    assert image_size(tmp_path / "a.jpg") == read_image(tmp_path / "a.jpg").shape[:2] == (30, 10)
    Image.new("RGBA", (4, 4), (255, 0, 0, 0)).save(tmp_path / "b.png")
    assert (read_image(tmp_path / "b.png") == 255).all()


def test_a_broken_picture_is_named_and_its_neighbour_taken(tmp_path: Path) -> None:
    for i in range(4):
        save(tmp_path, f"{i}.png", 32, 32, value=50 * i)
    write_half(tmp_path / "1.png")
    found = read_folder(tmp_path)
    with pytest.warns(UserWarning, match=r"1\.png can not be read and is left out"):
        pictures = all_decoded(found, np.array([1, 3]), (16, 16))
    assert [picture.row for picture in pictures] == [2, 3]
    assert [picture.pixels[0, 0, 0] for picture in pictures] == [100, 150]
    assert found.broken.names == ["1.png"]


def test_one_in_a_hundred_may_be_broken(tmp_path: Path) -> None:
    for i in range(198):
        save(tmp_path, f"{i:03d}.png", 8, 8)
    (tmp_path / "a.png").write_bytes(b"not a picture")
    write_half(tmp_path / "b.png")
    with pytest.warns(UserWarning, match=r"a\.png can not be read and is left out"):
        found = read_folder(tmp_path)
    with pytest.warns(UserWarning, match=r"b\.png can not be read and is left out"):
        all_decoded(found, np.array([198]), (8, 8))
    assert found.broken.names == ["a.png", "b.png"]
    (tmp_path / "001.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"3 of 200 pictures in .*: a\.png, b\.png, 001\.png"):
        all_decoded(found, np.array([1]), (8, 8))


def test_too_many_broken_pictures_stop_the_run(tmp_path: Path) -> None:
    save(tmp_path, "0.png", 32, 32)
    for i in (1, 2):
        (tmp_path / f"{i}.png").write_bytes(b"not a picture")
    with (
        pytest.warns(UserWarning, match=r"1\.png"),
        pytest.raises(ValueError, match=r"2 of 3 pictures in .* more than 1%: 1\.png, 2\.png"),
    ):
        read_folder(tmp_path)


@pytest.mark.filterwarnings("ignore:.*is left out")
def test_a_folder_of_nothing_but_a_broken_picture_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "0.png").write_bytes(b"")
    with pytest.raises(ValueError, match=f"no picture in {tmp_path} can be read"):
        read_folder(tmp_path)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (None, "no pictures in"),
        ("{", "line 1 is not JSON"),
        ('{"text": "a"}', "line 1 has no file_name"),
        ('{"file_name": "a.png", "text": "a"}', r"names a\.png, which is not there"),
    ],
)
def test_folders_that_do_not_serve_are_one_line(
    tmp_path: Path, table: str | None, message: str
) -> None:
    if table is not None:
        (tmp_path / "metadata.jsonl").write_text(table)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        read_folder(tmp_path)
