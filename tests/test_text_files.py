"""Text files: what is taken, and what is one line that names the file and the place."""

import json
from pathlib import Path

import pytest

from jaxsd.text_files import (
    DEEPEST,
    json_of,
    lines_in,
    read_csv,
    read_json,
    read_jsonl,
    read_text,
    toml_of,
)

LINES = "one\u2028still one\x0b\r\n\n \ntwo\x85\n"


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_lines_end_at_line_feeds_alone(tmp_path: Path, mark: bytes) -> None:
    path = tmp_path / "lines.txt"
    path.write_bytes(mark + LINES.encode())
    assert list(lines_in(path)) == [(1, "one\u2028still one\x0b"), (4, "two\x85")]
    assert read_text(path) == LINES


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_jsonl(tmp_path: Path, mark: bytes) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(mark + '{"a": "x\u2028y"}\r\n\r\n{"b": 1}\n\n'.encode())
    assert list(read_jsonl(path)) == [(1, {"a": "x\u2028y"}), (3, {"b": 1})]


@pytest.mark.parametrize("packed", ["ein Hütchen".encode("latin-1"), "a".encode("utf-16")])
@pytest.mark.parametrize("read", [read_text, read_json, read_jsonl, read_csv, lines_in])
def test_another_encoding_names_the_file(tmp_path: Path, packed: bytes, read: object) -> None:
    path = tmp_path / "rows.txt"
    path.write_bytes(packed)
    with pytest.raises(ValueError, match=r"rows\.txt.* is not UTF-8 text.*save it as UTF-8"):
        list(read(path))


@pytest.mark.parametrize(
    "text", ["5", "null", '{"a": [1.5, 2e300, "ä\\ud83d\\ude00"]}', "[" * DEEPEST + "]" * DEEPEST]
)
def test_json(text: str) -> None:
    assert json_of(text, "file") == json.loads(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[1,\n2,,]", "is not JSON: Expecting value at line 2 column 3$"),
        ('{"a" 1}', "is not JSON: .*at column 6$"),
        ('{"a": 1, "b": 2, "b": 3}', "the key 'b' is there twice"),
        ("[NaN]", "NaN is not a finite number"),
        ("[-Infinity]", "-Infinity is not a finite number"),
        ("[1e999]", "1e999 is not a finite number"),
        ("1" * 5000, "a number of 5000 digits"),
        ('["\\ud800"]', "not Unicode"),
        ("[" * (DEEPEST + 1) + "]" * (DEEPEST + 1), "more than 100 lists or tables within"),
        ("[" * 100_000, "more than 100 lists or tables within"),
        ('{"a":' * 100_000, "more than 100 lists or tables within"),
    ],
)
def test_json_that_is_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=f"^file .*{why}"):
        json_of(text, "file")


def test_json_of_comfyui_has_nan() -> None:
    assert str(json_of('{"is_changed": [NaN]}', "file", finite=False)) == "{'is_changed': [nan]}"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a = [", "is not TOML"),
        ("a = 1\na = 2", "is not TOML"),
        ("a = " + "1" * 5000, "is not TOML: a number has too many digits"),
        ("a = " + "[" * 10_000, "more than 100 lists or tables within"),
        (".".join("a" * 21) + " = 1", "has a key of more than 20 parts"),
        ("[ " + " . ".join("ab" * 20_000) + " ]", "has a key of more than 20 parts"),
        ("a = 1 #" + "x" * 2**20, "a TOML file has at most 524288; put what is long into a table"),
        ("x = {b = 1, " + ".".join(["'a'"] * 20_000) + " = 1}", "has a key of more than 20 parts"),
    ],
)
def test_toml_that_is_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=f"^file .*{why}"):
        toml_of(text, "file")


def test_csv_as_pandas_and_spreadsheets_write_it(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(b'\xef\xbb\xbf,a,b\r\n0,"x\xe2\x80\xa8y,\nz",\r\n\r\n1,c\r\nk,c,d\r\n')
    assert list(read_csv(path)) == [
        (3, {"a": "x\u2028y,\nz", "b": ""}),
        (5, "2 fields, the first line has 3"),
        (6, "a value in a column without a name"),
    ]


def test_a_pointer_of_git_lfs_is_no_table(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:a\nsize 3\n")
    for read in (read_csv, read_jsonl, lines_in):
        with pytest.raises(ValueError, match="rows is a git-lfs pointer, not the file itself"):
            list(read(path))


def test_an_index_that_pandas_named_and_blanks_before_names(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("Unnamed: 0, a\n0,x\n")
    assert list(read_csv(path)) == [(2, {"a": "x"})]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('a,b\n"1,2\n', "line 2 is not CSV: unexpected end of data"),
        ("a,b\r1,2\r", "line 1 is not CSV: a line ends at a carriage return alone"),
        ("a,a\n", "line 1 has the column 'a' twice"),
        ("a;b\n1;2\n", "line 1 has ';' between names; save it with commas"),
        ("a\tb\n1\t2\n", r"line 1 has '\\t' between names; save it with commas"),
    ],
)
def test_csv_that_is_refused(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(text.encode())
    with pytest.raises(ValueError, match=rf"rows\.csv {why}"):
        list(read_csv(path))
