"""Tokenizer folders: ours read by transformers, theirs read by us, and broken ones."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from real_files import larger

from jaxsd.families import CLIP_L, OPENCLIP_H
from jaxsd.text import (
    Tokenizer,
    Vocabulary,
    clip_tokenizer,
    clip_vocabulary,
    read_tokenizer,
    vocabulary_of,
    write_tokenizer,
)

PROMPTS = ["a photo of a cat", "Caf\u00e9! \U0001f600 don't", "", "x" * 400, "ab <toy> c", "!!"]
SMALL = replace(CLIP_L, vocab_size=715, max_length=16)


SMALL_VOCABULARY = vocabulary_of(clip_vocabulary().merges[:200])


def small() -> Tokenizer:
    added = Vocabulary(SMALL_VOCABULARY.ids | {"<toy>": 714}, SMALL_VOCABULARY.merges, ("<toy>",))
    return Tokenizer(added, max_length=16, pad_token=0)


@pytest.mark.parametrize(
    ("tokenizer", "config"),
    [
        (clip_tokenizer(CLIP_L), CLIP_L),
        (clip_tokenizer(OPENCLIP_H), OPENCLIP_H),
        (small(), SMALL),
    ],
    ids=["clip-l", "openclip", "small with an added token"],
)
def test_what_is_written_is_read_the_same_by_us_and_by_transformers(tmp_path, tokenizer, config):
    transformers = pytest.importorskip("transformers")
    write_tokenizer(tmp_path, tokenizer)
    expected = tokenizer(PROMPTS)
    np.testing.assert_array_equal(read_tokenizer(tmp_path, config)(PROMPTS), expected)
    theirs = transformers.CLIPTokenizer.from_pretrained(tmp_path)
    assert theirs.model_max_length == tokenizer.max_length
    theirs = theirs(PROMPTS, padding="max_length", truncation=True, return_tensors="np")
    np.testing.assert_array_equal(theirs["input_ids"], expected)


def test_what_transformers_writes_is_read_the_same(tmp_path):
    transformers = pytest.importorskip("transformers")
    write_tokenizer(tmp_path / "ours", small())
    theirs = transformers.CLIPTokenizer.from_pretrained(tmp_path / "ours")
    theirs.save_pretrained(tmp_path / "theirs")
    (tmp_path / "theirs/vocab.json").unlink(missing_ok=True)
    assert (tmp_path / "theirs/tokenizer.json").is_file()
    ours = read_tokenizer(tmp_path / "theirs", SMALL)
    np.testing.assert_array_equal(ours(PROMPTS), small()(PROMPTS))


def test_the_packaged_vocabulary_is_that_of_sd15(tmp_path):
    folder = larger("sd15_configs/tokenizer")
    theirs = read_tokenizer(folder, CLIP_L)
    assert theirs == clip_tokenizer(CLIP_L)
    write_tokenizer(tmp_path, theirs)
    for name in ("merges.txt", "special_tokens_map.json"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes(), name


@pytest.mark.parametrize(
    ("settings", "special", "pad"),
    [
        ({"pad_token": "<|endoftext|>"}, {"pad_token": "!"}, 0),
        ({"pad_token": "<|endoftext|>", "added_tokens_decoder": {}}, {"pad_token": "!"}, 713),
        ({"pad_token": {"content": "!"}}, {}, 0),
        ({}, {}, 713),
    ],
)
def test_padding_is_found_by_transformers_own_rule(tmp_path, settings, special, pad):
    write_tokenizer(tmp_path, replace(small(), vocabulary=SMALL_VOCABULARY))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    (tmp_path / "special_tokens_map.json").write_text(json.dumps(special))
    assert read_tokenizer(tmp_path, CLIP_L).pad_token == pad


def test_the_length_is_never_more_than_the_text_encoder_has(tmp_path):
    write_tokenizer(tmp_path, small())
    assert read_tokenizer(tmp_path, replace(SMALL, max_length=8)).max_length == 8
    assert read_tokenizer(tmp_path, replace(SMALL, max_length=77)).max_length == 16
    (tmp_path / "tokenizer_config.json").write_text('{"model_max_length": 1e30}')
    assert read_tokenizer(tmp_path, SMALL).max_length == 16


def break_json(folder: Path) -> None:
    (folder / "vocab.json").write_text('{"a": ')


def break_merges(folder: Path) -> None:
    (folder / "merges.txt").write_text("#version: 0.2\na b c\n")


def mix_models(folder: Path) -> None:
    (folder / "merges.txt").write_text("#version: 0.2\nq q\n")


def strange_padding(folder: Path) -> None:
    (folder / "special_tokens_map.json").write_text('{"pad_token": "[PAD]"}')


def nested(folder: Path) -> None:
    (folder / "tokenizer_config.json").write_text('{"a": ' + "[" * 100_000)


def ids_of_text(folder: Path) -> None:
    (folder / "vocab.json").write_text('{"a": "1"}')


def whole_of_lists(folder: Path) -> None:
    (folder / "vocab.json").unlink()
    (folder / "tokenizer.json").write_text('{"model": []}')


def decoder_of_words(folder: Path) -> None:
    (folder / "tokenizer_config.json").write_text(
        '{"added_tokens_decoder": {"x": {"content": "a"}}}'
    )


def endless(folder: Path) -> None:
    (folder / "tokenizer_config.json").write_text('{"model_max_length": "77"}')


def same_ids(folder: Path) -> None:
    ids = json.loads((folder / "vocab.json").read_text())
    ids["b"] = ids["a"]
    (folder / "vocab.json").write_text(json.dumps(ids))


def remove(folder: Path) -> None:
    (folder / "vocab.json").unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (break_json, "vocab.json is not JSON: "),
        (break_merges, "line 2 of .+/merges.txt holds 3 tokens, expected 2"),
        (
            mix_models,
            "tokenizer in .*: .* lacks 1 tokens that it needs, the first is 'qq'",
        ),
        (strange_padding, r"padding '\[PAD\]' of the tokenizer in .* is not in its vocabulary"),
        (nested, "tokenizer_config.json has more than 100 lists or tables within each other"),
        (ids_of_text, "not laid out as transformers does.*token 'a' has id '1'"),
        (decoder_of_words, "not laid out as transformers does.*token 'a' has id 'x'"),
        (whole_of_lists, "not laid out as transformers does"),
        (same_ids, r"tokenizer in .* has the id \d+ twice, for 'a' and 'b'"),
        (endless, "has model_max_length '77'"),
        (remove, "no tokenizer in .*: expected vocab.json and merges.txt, or tokenizer.json"),
    ],
)
def test_broken_folders_are_refused_in_one_line(tmp_path, damage, message):
    write_tokenizer(tmp_path, small())
    damage(tmp_path)
    with pytest.raises(ValueError, match=message) as error:
        read_tokenizer(tmp_path, SMALL)
    assert "\n" not in str(error.value)


def test_a_tokenizer_of_another_model_is_refused(tmp_path):
    write_tokenizer(tmp_path, clip_tokenizer(CLIP_L))
    with pytest.raises(ValueError, match="ids up to 49407, but its text encoder has 715 tokens"):
        read_tokenizer(tmp_path, SMALL)
