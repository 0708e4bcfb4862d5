"""Variants of prompts: what can be drawn, how often, and what is wrong."""

import random
from collections import Counter
from pathlib import Path

import pytest
from tiny_models import TINY

from jaxsd.settings import Settings, checked
from jaxsd.text.variants import drawn


@pytest.fixture
def folder(tmp_path: Path) -> str:
    (tmp_path / "animal.txt").write_text("# animals\ncat\n\n3::dog\n{big|small} cow\n")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/red-things.txt").write_text("apple\n__animal__\n")
    (tmp_path / "loop.txt").write_text("a __loop__\n")
    (tmp_path / "empty.txt").write_text("# nothing\n")
    return str(tmp_path)


def all_of(prompt: str, folder: str = "", seeds: int = 60) -> set[str]:
    return {drawn(prompt, random.Random(seed), folder) for seed in range(seeds)}


@pytest.mark.parametrize(
    ("prompt", "want"),
    [
        ("{red|blue} x", {"red x", "blue x"}),
        ("{a|} x", {"a x", " x"}),
        ("{{a|b} c|d}", {"a c", "b c", "d"}),
        ("{2$$a|b|c}", {"a, b", "b, a", "a, c", "c, a", "b, c", "c, b"}),
        ("{1-2$$ and $$a|b}", {"a", "b", "a and b", "b and a"}),
        ("__animal__!", {"cat!", "dog!", "big cow!", "small cow!"}),
        ("__sub/red-things__", {"apple", "cat", "dog", "big cow", "small cow"}),
        ("__{animal|sub/red-things}__ x", {f"{a} x" for a in ("apple", "cat", "dog", "big cow")}),
        ("{a} {} {b", {"{a} {} {b"}),
        (r"\{a|b\} a__b {x$$y}", {r"\{a|b\} a__b {x$$y}"}),
        ("[a|b] (c:1.2) AND d", {"[a|b] (c:1.2) AND d"}),
    ],
)
def test_what_is_drawn(prompt: str, want: set[str], folder: str) -> None:
    assert want <= all_of(prompt, folder) <= want | {"small cow x"}
    for text in all_of(prompt, folder, 5):
        assert all_of(text, folder, 3) == {text}, "what was drawn has no variants"


def test_two_different_lines_of_a_wildcard(folder: str) -> None:
    for text in all_of("{2$$__animal__}", folder):
        first, second = text.split(", ")
        assert first[-3:] != second[-3:]


def test_odds() -> None:
    """Of 3000 draws, 3 in 4, to four standard deviations."""
    counts = Counter(drawn("{3::a|b}", random.Random(seed)) for seed in range(3000))
    assert abs(counts["a"] - 2250) < 4 * (3000 * 3 / 16) ** 0.5


def test_the_seed_decides_and_the_settings_have_the_drawn_text(folder: str) -> None:
    spec = TINY["sd1"]
    asked = Settings("a __animal__", "{x|y|z}", wildcards=folder)
    found = [checked(Settings(**{**vars(asked), "seed": seed}), spec) for seed in range(20)]
    assert len({one.prompt for one in found}) == 4
    assert len({one.negative_prompt for one in found}) == 3
    assert checked(Settings(**{**vars(asked), "seed": 7}), spec) == found[7]
    (Path(folder) / "animal.txt").write_text("bird\n")
    assert checked(found[7], spec) == found[7], "a recipe needs no files"
    assert checked(asked, spec).prompt == "a bird"
    assert drawn("{a|b|c}{a|b|c}{a|b|c}", random.Random(42)) == "baa", "the same on any machine"
    plain = Settings("{a|b} __animal__ (c:1.2)", prompt_weights="none")
    assert checked(plain, spec).prompt == plain.prompt


@pytest.mark.parametrize(
    ("prompt", "says"),
    [
        ("__animl__", "no wildcard 'animl' in .*; nearest are animal"),
        ("__../secret__", "no wildcard '../secret'"),
        (f"__{'a' * 300}__", "no wildcard 'a{300}'"),
        ("__empty__", "empty.txt has no lines"),
        ("__loop__", "more than 20 variants lie within each other"),
        ("{3$$a|b}", "a prompt asks for 3 of 2 variants: a"),
        ("{2-1$$a|b}", "a prompt asks for 2-1 of 2 variants"),
        ("{" * 30 + "a|b" + "}" * 30, "more than 20 variants"),
    ],
)
def test_what_is_wrong_is_one_line(prompt: str, says: str, folder: str) -> None:
    with pytest.raises(ValueError, match=says) as error:
        drawn(prompt, random.Random(0), folder)
    assert "\n" not in str(error.value)


def test_wildcards_need_a_folder(folder: str) -> None:
    with pytest.raises(ValueError, match="no folder of wildcards is given: give wildcards, or"):
        drawn("an __animal__", random.Random(0))
    with pytest.raises(ValueError, match=r"animal\.txt is not a folder"):
        drawn("an __animal__", random.Random(0), f"{folder}/animal.txt")
