"""webui's grammar, against prompts whose words, weights and chunks were written down by hand."""

import contextlib
import itertools
import math
import random
import time

import numpy as np
import pytest
from prompt_cases import CHUNKS, TOKENIZER

from jaxsd.text.chunks import chunks_of, lengthened, repeated
from jaxsd.text.prompts import Part, edited, parts_of, spans_of


@pytest.mark.parametrize("prompt", CHUNKS)
def test_words_and_weights_of_each_chunk(prompt: str) -> None:
    got = chunks_of(spans_of(prompt), TOKENIZER)
    assert len(got.ids) == len(CHUNKS[prompt])
    for row, words in enumerate(CHUNKS[prompt]):
        ids = [TOKENIZER.encode([text])[0] for text, _ in words]
        weights = [weight for own, (_, weight) in zip(ids, words, strict=True) for _ in own]
        flat = list(itertools.chain(*ids))
        np.testing.assert_array_equal(got.ids[row], TOKENIZER.framed([flat])[0])
        want = [1, *weights, *[1] * (76 - len(weights))]
        np.testing.assert_allclose(got.weight[row], want, rtol=1e-6)
        place = np.arange(77)
        np.testing.assert_array_equal(got.span[row] >= 0, (place > 0) & (place <= len(flat)))


@pytest.mark.parametrize("prompt", ["", "a cat, drawn", "5 cats!", "caf\u00e9 " * 9])
def test_without_signs_the_ids_are_the_tokenizers(prompt: str) -> None:
    np.testing.assert_array_equal(chunks_of(spans_of(prompt), TOKENIZER).ids, TOKENIZER([prompt]))


@pytest.mark.parametrize(
    ("text", "rows"),
    {
        "a [cat:dog:0.4] b": ["a cat b"] * 2 + ["a dog b"] * 3,
        "[cat:dog:2]": ["cat"] * 2 + ["dog"] * 3,
        "[dog:3]": [""] * 3 + ["dog"] * 2,
        "[cat::3]": ["cat"] * 3 + [""] * 2,
        "[:dog:0.2]": [""] + ["dog"] * 4,
        "[cat:dog: 0.5 ]": ["cat"] * 2 + ["dog"] * 3,
        "[cat:dog:9]": ["cat"] * 5,
        "[cat:dog:1.0]": ["cat"] * 5,
        "[cat:dog:0]": ["dog"] * 5,
        "[cat:dog:-1]": ["dog"] * 5,
        "[cat|dog]": ["cat", "dog", "cat", "dog", "cat"],
        "[cat|dog|]": ["cat", "dog", "", "cat", "dog"],
        "[[cat|dog]:cow:2]": ["cat", "dog", "cow", "cow", "cow"],
        "[[cat:dog:1]:cow:3]": ["cat", "dog", "dog", "cow", "cow"],
        "(a [cat:dog:2]:1.2)": ["(a cat:1.2)"] * 2 + ["(a dog:1.2)"] * 3,
        "[(cat:1.2):[dog]:2]": ["(cat:1.2)"] * 2 + ["[dog]"] * 3,
        "[cat:1][dog:2]": ["", "cat", "catdog", "catdog", "catdog"],
        # Shapes of the examples that webui's parser has in its documentation.
        "x [[[y]]:2]": ["x "] * 2 + ["x [[y]]"] * 3,
        "[(x:2):3]": [""] * 3 + ["(x:2)"] * 2,
        "x [y : z : 1] w": ["x y  w"] + ["x  z  w"] * 4,
        "x[y:[z:w:2]:1]v": ["xyv", "xzv", "xwv", "xwv", "xwv"],
        "x [unbalanced": ["x [unbalanced"] * 5,
        "((x][:y:z [w:3]": ["((x][:y:z "] * 3 + ["((x][:y:z w"] * 2,
        "[x|(y:1.1)]": ["x", "(y:1.1)", "x", "(y:1.1)", "x"],
        "[x|||]y": ["xy", "y", "y", "y", "xy"],
        "[cat]": ["[cat]"] * 5,
        "[cat:dog]": ["[cat:dog]"] * 5,
        "[a:b:c:2]": ["[a:b:c:2]"] * 5,
        "[a|b:2]": ["[a|b:2]"] * 5,
        "[a (b:c:0.5]": ["[a (b:c:0.5]"] * 5,
        r"\[a|b\]": [r"\[a|b\]"] * 5,
        "a|b": ["a|b"] * 5,
    }.items(),
)
def test_the_text_of_each_row(text: str, rows: list[str]) -> None:
    assert edited(text, 5) == rows


def test_parts_and_their_weights() -> None:
    assert parts_of("a cat :1.2 AND a dog AND sand:-0.5") == [
        Part("a cat", 1.2),
        Part("a dog", 1),
        Part("sand", -0.5),
    ]
    assert parts_of("at 16:9, SAND and sea") == [Part("at 16:9, SAND and sea", 1)]


@pytest.mark.parametrize(
    ("read", "text", "says"),
    [
        (spans_of, "(a:1.2.3)", "the weight '1.2.3' in a prompt is not a number"),
        (spans_of, "(a:2000)", "the weight 2000 in a prompt is out of range"),
        (spans_of, f"(a:{'9' * 500})", "out of range; allowed is -1000 to 1000"),
        (spans_of, "((a:900):900)", "the weight 810000 in a prompt is out of range"),
        (spans_of, "(a" * 45 + ":30)", "the weight 1987.92 in a prompt is out of range"),
        (spans_of, "(a" * 30_000, r"a prompt has more than 50 '\(' in each other"),
        (spans_of, "[a" * 30_000, r"a prompt has more than 50 '\[' in each other"),
        (parts_of, "a:2000 AND b", "the weight 2000"),
        (lambda text: edited(text, 3), "[" * 60 + "]" * 60, "more than 50 square brackets"),
    ],
)
def test_what_is_wrong_is_one_line(read, text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says) as error:
        read(text)
    assert "\n" not in str(error.value)


def test_any_text_is_read_in_linear_time() -> None:
    rng = random.Random(0)
    for _ in range(500):
        text = "".join(rng.choices(r"ab ()[]:|\.12{}", k=30)) + " BREAK "
        with contextlib.suppress(ValueError):  # such as (a:1.2.1)
            assert all(spans_of(row) for row in edited(text, 7))
    started = time.process_time()
    deep = "(" * 50 + "a:b" * 3000
    for text in (deep, "[a:" * 45, "(a:1.1)" * 5000, "[a|b]" * 5000, "\\" * 30000):
        spans_of(edited(text, 3)[2])
    assert time.process_time() - started < 3


def attend(q: np.ndarray, kv: np.ndarray) -> np.ndarray:
    logits = q @ kv.T
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    return weights @ kv / weights.sum(-1, keepdims=True)


def test_repeated_chunks_are_attended_to_as_once() -> None:
    rng = np.random.default_rng(0)
    chunks = chunks_of(spans_of("a BREAK b"), TOKENIZER)
    six = repeated(chunks, 6)
    assert six.ids.shape == (6, 77)
    table = rng.normal(size=(2, 77, 8))  # what an encoder gives for each of the chunks
    q = rng.normal(size=(5, 8))
    once, often = table.reshape(-1, 8), np.tile(table, (3, 1, 1)).reshape(-1, 8)
    np.testing.assert_allclose(attend(q, often), attend(q, once), rtol=1e-12)
    np.testing.assert_array_equal(six.ids[2:4], chunks.ids)
    assert lengthened(chunks, 3, TOKENIZER).ids[2, :2].tolist() == [612, 613]
    assert math.prod(lengthened(chunks, 2, TOKENIZER).ids.shape) == 154
