"""Pictures of a folder, whatever form they lie in."""

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from score_folders import folder_of, foreign_tar, image, shard_of, texts

from jaxsd.images import png_bytes, write_picture
from jaxsd.score.pictures import pictures_in, read_prompted


def all_of(place: Path) -> list[tuple[str, str | None]]:
    """Names and prompts, after the pictures have been compared."""
    found = []
    for i, picture in enumerate(pictures_in(place)):
        pixels, prompt = read_prompted(picture)
        np.testing.assert_array_equal(pixels, image(i))
        found.append((picture.name, prompt))
    return found


def test_a_folder_with_recipes(tmp_path: Path) -> None:
    folder_of(tmp_path, 3)
    assert all_of(tmp_path) == [(f"images/{i}.png", f"thing {i}") for i in range(3)]


def test_a_manifest_has_the_last_word(tmp_path: Path) -> None:
    folder_of(tmp_path, 3, manifest=True)
    assert all_of(tmp_path) == [(f"images/{i}.png", f"row {i}") for i in range(3)]


def test_shards_of_bulk_runs(tmp_path: Path) -> None:
    tars = shard_of(tmp_path / "tars", "webdataset", 3)
    assert all_of(tars) == [(f"00000.tar:row-{i}.png", f"thing {i}") for i in range(3)]
    assert all_of(tars / "00000.tar") == all_of(tars)


def test_array_records_of_bulk_runs(tmp_path: Path) -> None:
    pytest.importorskip("array_record")
    records = shard_of(tmp_path / "records", "arrayrecord", 3)
    assert all_of(records) == [(f"00000.array_record:{i}", f"thing {i}") for i in range(3)]
    for name in ("a.array_record", "a.tar"):
        (records / name).write_bytes(b"x" * 512)
        with pytest.raises(ValueError, match=rf"{name} is no") as error:
            all_of(records / name)
        assert "\n" not in str(error.value)


def test_what_is_no_picture_of_the_run_is_left_out(tmp_path: Path) -> None:
    folder_of(tmp_path, 2)
    write_picture(tmp_path / "contact_sheet.png", image(9))
    for name in (".hidden.png", "images/.0.png.part", "images/.x/a.png", "parts/0.tar", "a.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert [name for name, _ in all_of(tmp_path)] == ["images/0.png", "images/1.png"]


def test_pictures_without_prompts(tmp_path: Path) -> None:
    assert all_of(foreign_tar(tmp_path / "other.tar")) == [("other.tar:some/a.png", None)]
    (tmp_path / "plain").mkdir()
    write_picture(tmp_path / "plain/a.png", image(0))
    assert all_of(tmp_path / "plain") == [("a.png", None)]


def test_prompts_of_webui(tmp_path: Path) -> None:
    packed = png_bytes(image(0), texts('a "red", apple'))
    (tmp_path / "a.png").write_bytes(packed)
    assert all_of(tmp_path) == [("a.png", 'a "red", apple')]


def test_broken_shards_and_manifests_are_named(tmp_path: Path) -> None:
    (tmp_path / "bad.tar").write_bytes(b"nothing" * 200)
    with pytest.raises(ValueError, match=r"bad\.tar is no whole tar file"):
        pictures_in(tmp_path)
    (tmp_path / "bad.tar").unlink()
    (tmp_path / "manifest.jsonl").write_text("\n{\n")
    with pytest.raises(ValueError, match=r"manifest\.jsonl line 2 is not JSON"):
        pictures_in(tmp_path)
    (tmp_path / "manifest.jsonl").write_text('{"file": "a.png", "prompt": null}\n')
    with pytest.raises(ValueError, match=r"manifest\.jsonl line 1 is not of a bulk run"):
        pictures_in(tmp_path)
    with pytest.raises(FileNotFoundError, match="no pictures at"):
        pictures_in(tmp_path / "absent")


def test_tars_whose_headers_say_more_than_they_hold_are_named(tmp_path: Path) -> None:
    whole = tmp_path / "a.tar"
    with tarfile.open(whole, "w") as tar:
        for name, packed in (("a" * 150 + ".png", png_bytes(image(0))), ("a.txt", b"a cat")):
            info = tarfile.TarInfo(name)
            info.size = len(packed)
            tar.addfile(info, io.BytesIO(packed))
    packed, changed = whole.read_bytes(), tmp_path / "changed.tar"
    heads = [place for place in range(0, len(packed), 512) if packed[place + 257 :][:5] == b"ustar"]
    assert len(heads) == 3  # one of them is a long name
    for head in heads:
        for size in (b"77777777777\0", b"\x80" + b"\xff" * 11, b"\x80" + b"\x0f" * 11, b"-7" * 6):
            block = packed[head : head + 124] + size + b" " * 20 + packed[head + 156 : head + 512]
            block = block[:148] + b"%06o\0 " % sum(block) + block[156:]
            changed.write_bytes(packed[:head] + block + packed[head + 512 :])
            with pytest.raises(ValueError, match=rf"{changed} is no whole tar file: \S"):
                pictures_in(changed)
