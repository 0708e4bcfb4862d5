"""Files are whole or absent, and errors name them."""

import errno
import os

import pytest

from jaxsd.writing import check_place, check_writable, naming, replacing


def test_a_file_is_replaced_when_all_went_well(tmp_path):
    path = tmp_path / ("n" * 255)
    path.write_text("old")
    with replacing(path) as part:
        part.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == [path.name]


def test_a_full_disk_names_the_file_and_leaves_the_old_one(tmp_path):
    path = tmp_path / "a"
    path.write_text("old")

    def fill() -> None:
        with replacing(path) as part:
            part.write_text("ne")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match=f"No space left on device: '{path}'") as error:
        fill()
    assert error.value.errno == errno.ENOSPC
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize(
    ("named", "shown"),
    [(None, "a"), ("part", "a"), ("part/below/it", "a"), ("other", "other"), ("part2", "part2")],
)
def test_only_errors_of_the_file_get_its_name(named, shown, tmp_path):
    place = [] if named is None else [str(tmp_path / named)]
    with (
        pytest.raises(OSError, match=f"'{tmp_path}/{shown}'$"),
        naming(tmp_path / "a", tmp_path / "part"),
    ):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), *place)


def test_a_folder_that_is_none_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"'{tmp_path}/none'"):
        check_writable(tmp_path / "none")
    (tmp_path / "file").touch()
    for place in ("file", "file/below/it"):
        with pytest.raises(NotADirectoryError, match=f"'{tmp_path}/file'"):
            check_place(tmp_path / place)
    check_writable(tmp_path)
    check_place(tmp_path / "one/two")
    assert os.listdir(tmp_path) == ["file"]
