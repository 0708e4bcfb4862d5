"""A trimmed vocabulary cuts the texts that it was made for as the whole one does."""

import pytest
from emoji import captions
from emoji.concepts import concepts
from emoji.vocabulary import MAX_LENGTH, caption_tokenizer, merges_of, trimmed
from emoji.words import COUNTRIES

from jaxsd.config import TextConfig
from jaxsd.text import (
    Tokenizer,
    clip_vocabulary,
    read_tokenizer,
    vocabulary_of,
    write_tokenizer,
)


@pytest.fixture(scope="module")
def texts() -> list[str]:
    return [
        *(text for concept in concepts() for text in captions.plain(concept, ("tag", "words"))),
        *(text for country in COUNTRIES for text in captions.flag(country)),
        "piñata, jack-o'-lantern's T-shirt no. 5 — 世界",
    ]


def pieces(tokenizer: Tokenizer, texts: list[str]) -> list[list[str]]:
    names = {i: token for token, i in tokenizer.vocabulary.ids.items()}
    return [[names[i] for i in ids] for ids in tokenizer.encode(texts)]


@pytest.fixture(scope="module")
def small(texts: list[str]) -> Tokenizer:
    return caption_tokenizer(texts)


def test_captions_fall_into_the_same_pieces(small, texts):
    assert pieces(small, texts) == pieces(Tokenizer(clip_vocabulary()), texts)


def test_it_is_small_and_numbered_anew(small):
    ids = small.vocabulary.ids
    assert len(ids) < 2500
    assert sorted(ids.values()) == list(range(len(ids)))
    assert ids["<|startoftext|>"] == len(ids) - 2
    assert ids["<|endoftext|>"] == small.pad_token == len(ids) - 1


def test_other_words_still_have_pieces_that_spell_them(small):
    (found,) = pieces(small, ["xylophone"])
    assert "".join(found) == "xylophone</w>"


def test_merges_of_a_token_by_hand():
    merges = [("b", "c</w>"), ("a", "b"), ("a", "bc</w>"), ("a", "a"), ("aa", "abc</w>")]
    ranks = {merge: rank for rank, merge in enumerate(merges)}
    assert merges_of("abc</w>", ranks) == [("b", "c</w>"), ("a", "bc</w>")]
    assert merges_of("aaabc</w>", ranks) == [merges[i] for i in (0, 2, 3, 4)]
    assert merges_of("a", ranks) == []


def test_only_needed_merges_stay():
    whole = vocabulary_of([("a", "b</w>"), ("c", "d</w>"), ("e", "f</w>")])
    assert trimmed(["ef ab", "x"], whole).merges == (("a", "b</w>"), ("e", "f</w>"))


def test_the_folder_that_it_writes_is_read_back(small, tmp_path):
    write_tokenizer(tmp_path, small)
    size = len(small.vocabulary.ids)
    config = TextConfig(
        width=8,
        layers=1,
        heads=1,
        mlp_width=8,
        activation="quick_gelu",
        vocab_size=size,
        max_length=MAX_LENGTH,
        pad_token=size - 1,
    )
    rows = read_tokenizer(tmp_path, config)(["a red apple"])
    assert rows.shape == (1, MAX_LENGTH)
    assert rows[0, 0] == size - 2
    assert (rows[0, 4:] == size - 1).all()
