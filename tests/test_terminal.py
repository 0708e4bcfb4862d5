"""Texts of files on terminals."""

import pytest

from jaxsd.terminal import LINE, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a cat, caf\u00e9 \u732b", "a cat, caf\u00e9 \u732b"),
        ("\x1b[2J\x1b]0;title\x07", "\\x1b[2J\\x1b]0;title\\x07"),
        ("two\nlines\r", "two\\nlines\\r"),
        ("txt.\u202egnp", "txt.\\u202egnp"),
        ("\ud83d alone", "\\ud83d alone"),
        ("\x9b31m", "\\x9b31m"),
        ("\U0001f9d1\u200d\U0001f680\n", "\U0001f9d1\u200d\U0001f680\\n"),
    ],
)
def test_nothing_steers_the_terminal(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_long_texts_keep_their_beginning_and_end() -> None:
    assert printable("a" * 500 + "b" * 500, 20) == "aaaaaaaaaa ... bbbbb"
    for text in ("x" * 10**6, "\x1b" * 10**6, "\u202e"):
        shown = printable(text)
        assert len(shown) <= LINE
        assert shown.isprintable()
