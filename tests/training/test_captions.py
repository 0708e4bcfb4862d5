"""Captions of a folder: where they are found, and what is one line before a run begins."""

from pathlib import Path

import pytest
from test_folder import save

from jaxsd.training.captions import Listed, check_captions, pictures_in


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pictures."""
    for i in range(3):
        save(tmp_path, f"{i}.png", 8, 8)
    return tmp_path


def texts_of(folder: Path, **files: str | bytes) -> list[tuple[str, ...]]:
    """Captions of the pictures beside these files; `_` in a name stands for a dot."""
    for name, text in files.items():
        packed = text.encode() if isinstance(text, str) else text
        (folder / name.replace("_", ".").lstrip(".")).write_bytes(packed)
    return [row.texts for row in pictures_in(folder)]


def test_kohyas_texts_lie_beside_pictures(folder: Path) -> None:
    found = texts_of(folder, _0_txt="\ufeffa cat\r\n", _1_caption="a dog\na bog\n", _2_png_txt="x")
    assert found == [("a cat",), ("a dog", "a bog"), ("x",)]


def test_the_masks_of_onetrainer_are_no_pictures(folder: Path) -> None:
    (folder / "1.png").rename(folder / "0-masklabel.png")
    (folder / "2.png").rename(folder / "2.jfif")
    with pytest.warns(UserWarning, match=r"masks, and other pictures are not used: 0-masklabel"):
        assert [row.name for row in pictures_in(folder)] == ["0.png", "2.jfif"]


def test_hidden_files_of_other_systems_are_no_pictures(folder: Path) -> None:
    (folder / "._0.png").write_bytes(b"not a picture")
    assert [row.name for row in pictures_in(folder)] == ["0.png", "1.png", "2.png"]


TABLE = """\
file_name, text
0.png,a cat
1.png,"a dog, ""x""\u2028y"
2.png,
"""


def test_metadata_csv(folder: Path) -> None:
    found = texts_of(folder, metadata_csv="\ufeff" + TABLE.replace("\n", "\r\n"), _2_txt="beside")
    assert found == [("a cat",), ('a dog, "x"\u2028y',), ("beside",)]


@pytest.mark.parametrize("text", ["text", "caption", "prompt"])
@pytest.mark.parametrize("file", ["file_name", "filename", "image"])
def test_the_usual_columns(folder: Path, file: str, text: str) -> None:
    rows = "".join(f'{{"{file}": "{i}.png", "{text}": "a\u2028{i}"}}\n' for i in range(3))
    assert texts_of(folder, metadata_jsonl=rows + "\n") == [(f"a\u2028{i}",) for i in range(3)]


def test_an_empty_text_means_what_it_says(folder: Path) -> None:
    table = '{"file_name": "0.png", "text": ""}\n{"file_name": "1.png"}\n{"file_name": "2.png"}'
    assert texts_of(folder, metadata_jsonl=table) == [("",), (), ()]


def test_a_row_has_more_than_a_caption(folder: Path) -> None:
    table = '{"file_name": "0.png", "texts": ["a"], "conditioning_image": "1.png", "template": "t"}'
    with pytest.warns(UserWarning, match=r"pictures that metadata\.jsonl .* not used: 2\.png"):
        assert texts_of(folder, metadata_jsonl=table) == [("a",)]
    with pytest.warns(UserWarning, match="not used"):
        assert pictures_in(folder) == [Listed("0.png", ("a",), "1.png", "t")]


@pytest.mark.parametrize(
    ("files", "named"),
    [
        ({"metadata_csv": TABLE.replace("text", "legend")}, "columns are not used: legend$"),
        ({"captions_json": "{}"}, r"tables with other names are not used: captions\.json$"),
        ({"captions_JSON": "{}"}, r"tables with other names are not used: captions\.JSON$"),
        ({"a-masklabel_png": b"", "a_avif": b""}, r"are not used: a-masklabel\.png, a\.avif$"),
        ({"0_TXT": "a", "9_txt": "b"}, r"texts that no picture has are not used: 0\.TXT, 9\.txt$"),
        ({"_0_txt": "a", "_0_caption": "b"}, r"not used: 0\.caption$"),
        ({"metadata_csv": TABLE, "_0_txt": "b"}, r"that have captions are not used: 0\.txt$"),
        ({"metadata_csv": TABLE.replace("2.png", "1.png")}, r"name are not used: 2\.png$"),
    ],
)
def test_what_is_not_used_is_named(folder: Path, files: dict[str, str], named: str) -> None:
    with pytest.warns(UserWarning, match=named):
        texts_of(folder, **files)


ROW = '{"file_name": "0.png", "text": "a"}\n'


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ('{"file_name": "0.png", "text": null}', "text is None, it must be of type str"),
        ('{"file_name": "0.png", "text": 3}', "text is 3, it must be of type str"),
        ('{"file_name": "0.png", "text": ["a"]}', "text is .'a'., it must be of type str"),
        ('{"file_name": "0.png", "texts": "abc"}', "texts is 'abc', it must be of type list"),
        ('{"file_name": "0.png", "texts": ["a", null]}', "texts is None, it must be of type str"),
        ('{"file_name": 0, "text": "a"}', "file_name is 0, it must be of type str"),
        ('{"file_name": "0.png", "template": 1}', "template is 1, it must be of type str"),
        ('{"file_name": "0.png", "conditioning_image": "9.png"}', "names 9.png, which is not"),
        ('{"file_name": "0.png", "text": "\\ud800"}', "text that is not Unicode"),
        ('{"file_name": "9.png", "text": "a"}', "names 9.png, which is not there"),
        (f'{{"file_name": "{"a" * 300}"}}', "names a{300}, which is not there"),
        ('{"text": "a"}', "has no file_name; it has text"),
        ('[{"file_name": "0.png"}]', "is not a table of names and values"),
        ('{"file_name": "0.png"', "is not JSON"),
        ('{"a": ' + "[" * 10_000, "has more than 100 lists or tables within each other"),
        ('{"file_name": "0.png", "text": "ä"}'.encode("latin-1"), "is not UTF-8 text"),
    ],
)
def test_a_wrong_row_is_named_with_its_line(folder: Path, row: str | bytes, why: str) -> None:
    packed = row.encode() if isinstance(row, str) else row
    with pytest.raises((ValueError, FileNotFoundError), match=why) as error:
        texts_of(folder, metadata_jsonl=(ROW + "\n").encode() + packed)
    assert "metadata.jsonl line 3" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({"metadata_csv": TABLE, "metadata_jsonl": ROW}, "metadata.jsonl and metadata.csv; remove"),
        ({"metadata_parquet": b"PAR1"}, "parquet is not read; write it as metadata.jsonl"),
        ({"metadata_csv": TABLE.replace(",", ";")}, "line 1 has ';' between names; save it with"),
        ({"metadata_csv": "file_name,text\n0.png\n"}, "csv line 2: 1 fields, the first line has 2"),
        ({"metadata_jsonl": "\n"}, "no pictures in .*metadata.jsonl"),
        ({"_0_txt": "ä".encode("utf-16")}, "0.txt line 1 is not UTF-8 text"),
    ],
)
def test_wrong_tables_are_one_line(folder: Path, files: dict[str, str], why: str) -> None:
    with pytest.raises(ValueError, match=why) as error:
        texts_of(folder, **files)
    assert "\n" not in str(error.value)


def test_folders_below_are_named(tmp_path: Path) -> None:
    (tmp_path / "10_dog").mkdir()
    save(tmp_path / "10_dog", "0.png", 8, 8)
    with pytest.raises(ValueError, match=r"no pictures in .* folders in it are not read: 10_dog$"):
        pictures_in(tmp_path)


def test_a_run_with_few_captions_says_so() -> None:
    check_captions("data", [["a"], [""]], uncaptioned=False)
    check_captions("data", [[""]], uncaptioned=True)
    for texts, having in ([[""], [" "]], 0), ([["a"], [""], [""]], 1):
        with pytest.raises(ValueError, match=f"^{having} of {len(texts)} pictures in data have a"):
            check_captions("data", texts, uncaptioned=False)
