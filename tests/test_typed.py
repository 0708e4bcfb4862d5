"""Dataclasses out of tables and texts: what is taken, and what is one line that names the key."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jaxsd.typed import built, nearest, parsed, read_toml, value_of


@dataclass(frozen=True)
class Inner:
    rank: int = 4
    name: str = ""

    @classmethod
    def parse(cls, text: str) -> "Inner":
        rank, _, name = text.partition(":")
        return cls(parsed(int, rank, "rank"), name)


@dataclass(frozen=True)
class Outer:
    output: str
    rate: float = 0.1
    steps: int = 10
    on: bool = True
    limit: float | None = None
    sizes: tuple[int, ...] = ()
    inner: Inner = Inner()
    inners: tuple[Inner, ...] = ()
    table: dict[str, Any] = field(default_factory=dict)


VALUES = [
    (int, 2.0, 2),
    (int, 3, 3),
    (int, 7.0, 7),
    (int, 2.0**53 - 1, 2**53 - 1),
    (int, 2**63 - 1, 2**63 - 1),
    (int, np.int64(3), 3),
    (int, np.uint8(3), 3),
    (float, 3, 3.0),
    (float, np.float32(0.5), 0.5),
    (str, "ä cat", "ä cat"),
    (bool, False, False),
    (float | None, None, None),
    (float | None, 1, 1.0),
    (tuple[int, ...], [1, 2], (1, 2)),
    (tuple[float, ...], (1, 2.5), (1.0, 2.5)),
    (Inner, {"rank": 8}, Inner(8)),
    (Inner, "8:a", Inner(8, "a")),
    (tuple[Inner, ...], ["8:a", {"rank": 2}, Inner()], (Inner(8, "a"), Inner(2), Inner())),
]


@pytest.mark.parametrize(("kind", "value", "want"), VALUES)
def test_values(kind: Any, value: object, want: object) -> None:
    got = value_of(kind, value, "key")
    assert got == want
    assert type(got) is type(want)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (int, 1.5),
        (int, math.inf),
        (int, 2.0**53),  # or one more
        (int, True),
        (int, "1"),
        (int, None),
        (float, True),
        (float, "1"),
        (float, math.nan),
        (float, -math.inf),
        (float, 1j),
        (float, 10**400),
        (str, 3),
        (str, "\ud800"),
        (str, "a" * 100_001),
        (int, "a" * 100_001),
        (Inner, {"a" * 1_000_000: 3}),
        (bool, 1),
        (bool, "true"),
        (tuple[int, ...], 3),
        (tuple[int, ...], [1.5]),
        (tuple[float, ...], [0.0, math.nan]),
        (Inner, 3),
        (Inner, {"rang": 3}),
        (Inner, {"rank": 3.5}),
        (Inner, Inner(rank=3.5)),
        (tuple[Inner, ...], [Inner(name=3)]),
        (dict, 3),
    ],
)
def test_a_value_of_another_type_is_one_line(kind: Any, value: object) -> None:
    with pytest.raises(ValueError, match=r"^(key|unknown key 'key\.)") as error:
        value_of(kind, value, "key")
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 300


@pytest.mark.parametrize(
    ("kind", "text", "want"),
    [
        (int, "3", 3),
        (int, "7.0", 7),
        (int, " -7 ", -7),
        (int, "9223372036854775807", 2**63 - 1),
        (float, "1e-3", 0.001),
        (float | None, "2", 2.0),
        (bool, "TRUE", True),
        (bool, "no", False),
        (str, "3", "3"),
        (tuple[float, ...], "0.25 1", (0.25, 1.0)),
        (tuple[str, ...], "'of two words' other", ("of two words", "other")),
        (tuple[int, ...], "", ()),
        (tuple[Inner, ...], "8:a '2:b c'", (Inner(8, "a"), Inner(2, "b c"))),
    ],
)
def test_texts(kind: Any, text: str, want: object) -> None:
    assert parsed(kind, text, "key") == want


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (int, "1.5"),
        (int, ""),
        (int, "9e18"),
        (int, "9" * 5000),
        (float, "nan"),
        (float, "inf"),
        (float, "a\nb"),
        (bool, "maybe"),
        (tuple[int, ...], "1 b"),
        (tuple[str, ...], "'not closed"),
    ],
)
def test_a_text_that_is_no_value_is_one_line(kind: Any, text: str) -> None:
    with pytest.raises(ValueError, match=r"^key ") as error:
        parsed(kind, text, "key")
    assert "\n" not in str(error.value)


def test_a_table() -> None:
    table = {"output": "runs", "rate": 1, "sizes": [1, 2], "inner": {"rank": 8}, "table": {"a": 1}}
    want = Outer("runs", 1.0, sizes=(1, 2), inner=Inner(8), table={"a": 1})
    assert built(Outer, table) == want


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({}, "the key 'output' is missing"),
        ({"output": "a", "outptu": "b"}, "unknown key 'outptu'; nearest are output, "),
        ({"output": "a", "inner": {"rnk": 1}}, "unknown key 'inner.rnk'; nearest are rank, name"),
        ({"output": "a", "inner": {"rank": "x"}}, "inner.rank is 'x', it must be of type int"),
        ({"output": 3}, "output is 3, it must be of type str"),
    ],
)
def test_what_is_wrong_in_a_table(table: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match="^" + message):
        built(Outer, table)


def test_three_names_are_nearest() -> None:
    assert nearest("stpes", ["seed", "steps", "size", "prompt"]) == "nearest are steps, size, seed"
    assert nearest("zzz", ["a", "b"]).count(",") == 1


def test_an_empty_output_is_no_folder(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text('output = "runs"', encoding="utf-8")
    with pytest.raises(ValueError, match=f"^{path}: output is empty"):
        read_toml(Outer, path, ['output=""'], "")


def test_a_file_and_its_overrides(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text('output = "runs"\n[inner]\nrank = 2\nname = "kept"\n', encoding="utf-8")
    overrides = ["inner.rank=8", r"output=C:\new", "sizes=[1, 2]", 'inner.name="a = b"']
    got = read_toml(Outer, path, overrides, "configs")
    assert got == Outer(r"C:\new", sizes=(1, 2), inner=Inner(8, "a = b"))
    assert read_toml(Outer, path, [], "configs").inner == Inner(2, "kept")


@pytest.mark.parametrize(
    ("text", "override", "message"),
    [
        ("output =", [], "is not TOML"),
        ('output = "ä"'.encode("latin-1"), [], "is not UTF-8 text"),
        ("a = " + "[" * 10_000, [], "more than 100 lists or tables within each other"),
        ('output = "a"', ["steps = = 3"], "steps"),
        ('output = "a"', ["sizes=" + "[" * 10_000], "sizes is '.*must be of type list"),
        ('output = "a"\nstepz = 3', [], "unknown key 'stepz'"),
        ('output = "a"', ["steps=many"], "steps is 'many'"),
    ],
)
def test_a_wrong_file_is_named(
    tmp_path: Path, text: str | bytes, override: list[str], message: str
) -> None:
    path = tmp_path / "a.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(ValueError, match=message) as error:
        read_toml(Outer, path, override, "configs")
    assert str(path) in str(error.value)


def test_no_file_says_where_examples_are(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.toml; see configs/train"):
        read_toml(Outer, tmp_path / "none.toml", [], "configs/train")
