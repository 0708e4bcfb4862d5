"""Textual inversion: rows of the table, ids of the tokenizer, and files."""

from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from real_files import EMBEDDING
from tiny_models import (
    CLIP_L,
    TINY,
    abstract_text,
    apply,
    pipeline_params,
    random_params,
    relative_error,
    uniform,
)

from jaxsd import convert
from jaxsd.adapters.embedding import read_embedding, with_embedding, with_token, write_embedding
from jaxsd.convert.files.safetensors_file import write_safetensors
from jaxsd.convert.files.tensors import in_memory
from jaxsd.models import TextEncoder
from jaxsd.text import Tokenizer, clip_vocabulary, read_tokenizer, vocabulary_of, write_tokenizer

VOCABULARY = vocabulary_of(clip_vocabulary().merges[:200])  # of 714 tokens
CONFIG = replace(CLIP_L, vocab_size=714, pad_token=0, max_length=16, projection_dim=24)
TOKENIZER = Tokenizer(VOCABULARY, max_length=16, pad_token=0)
PARAMS = random_params(abstract_text(CONFIG))
END = 713


def test_a_token_becomes_the_ids_of_its_vectors():
    config, tokenizer = with_token(CONFIG, TOKENIZER, "<toy>", 3)
    assert (config.vocab_size, config.added_tokens) == (717, 3)
    plain = TOKENIZER.encode(["a ", " in the"])
    assert tokenizer.encode(["a <toy> in the"]) == [[*plain[0], 714, 715, 716, *plain[1]]]
    assert tokenizer.encode(["<TOY><toy>", "<toy>_2", "a"]) == [
        [714, 715, 716] * 2,
        [716],
        plain[0],
    ]
    np.testing.assert_array_equal(tokenizer(["<toy>" * 9])[0, -3:], [714, 715, END])
    assert tokenizer.cut(["<toy>" * 9]) == [27 + 2 - 16]
    again = with_token(config, tokenizer, "<hat>", 1)
    assert again[1].encode(["<hat> <toy>"]) == [[717, 714, 715, 716]]
    assert again[0].added_tokens == 4


def test_tokenizer_folders_keep_tokens_of_several_vectors(tmp_path):
    config, tokenizer = with_token(CONFIG, TOKENIZER, "<toy>", 3)
    write_tokenizer(tmp_path, tokenizer)
    prompts = ["a <toy> in the", "the"]
    np.testing.assert_array_equal(read_tokenizer(tmp_path, config)(prompts), tokenizer(prompts))
    with pytest.raises(ValueError, match="ends prompts with 713, its text encoder expects 712"):
        read_tokenizer(tmp_path, replace(config, added_tokens=4))


@pytest.mark.parametrize("pad_token", [0, END])
def test_a_copy_of_a_word_is_encoded_as_the_word(pad_token):
    """The pooled vector too, though ids of added rows are above that of the end."""
    base = replace(CONFIG, pad_token=pad_token)
    config, tokenizer = with_token(base, replace(TOKENIZER, pad_token=pad_token), "<toy>", 2)
    ids = tokenizer(["a <toy> in", "<toy>", "in"])
    assert ids.max() == 715
    words = np.where(ids == 714, 300, np.where(ids == 715, 301, ids))
    params = with_embedding(PARAMS, table(PARAMS)[300:302])
    got = apply(TextEncoder(config), params, ids=ids)
    want = apply(TextEncoder(base), PARAMS, ids=words)
    np.testing.assert_array_equal(got.context, want.context)
    np.testing.assert_array_equal(got.pooled, want.pooled)


def table(params):
    return params["embeddings"]["token_embedding"]["embedding"]


def test_rows_are_appended_and_nothing_else_changes():
    vectors = uniform("vectors", (2, 32))
    params = with_embedding(PARAMS, vectors)
    assert table(params).shape == (716, 32)
    np.testing.assert_array_equal(table(params)[:714], table(PARAMS))
    np.testing.assert_array_equal(table(params)[714:], vectors)
    assert table(PARAMS).shape == (714, 32)
    assert params["encoder"] is PARAMS["encoder"]
    with pytest.raises(ValueError, match=r"is \[2, 40\], this text encoder's are \[n, 32\]"):
        with_embedding(PARAMS, np.zeros((2, 40)))


def test_the_gradient_reaches_the_vectors_that_a_prompt_uses():
    config, tokenizer = with_token(CONFIG, TOKENIZER, "<toy>", 2)
    ids = tokenizer(["a <toy>_1"])  # the second vector alone

    @jax.jit
    def gradient(vectors):
        def loss(vectors):
            params = {"params": with_embedding(PARAMS, vectors)}
            return jnp.sum(TextEncoder(config).apply(params, ids).pooled ** 2)

        return jax.grad(loss)(vectors)

    found = gradient(jnp.asarray(uniform("vectors", (2, 32))))
    assert not np.any(found[0])
    assert np.any(found[1])


def test_a_model_with_an_embedding_round_trips_through_a_folder(tmp_path):
    spec = replace(
        TINY["sd1"], text=(replace(CONFIG, projection_dim=None, pad_token=END, max_length=77),)
    )
    params = pipeline_params(spec)
    tokenizer = Tokenizer(VOCABULARY, 77, END)
    config, tokenizer = with_token(spec.text[0], tokenizer, "<toy>", 2)
    tree = with_embedding(params["text"][0], uniform("vectors", (2, 32)))
    spec = replace(spec, text=(config,))
    params |= {"text": [tree]}
    convert.write_diffusers(tmp_path / "model", spec, params, tokenizers=[tokenizer])
    model = convert.open_model(tmp_path / "model")
    assert model.spec.text == spec.text
    jax.tree.map(np.testing.assert_array_equal, model.params()["text"][0], tree)
    assert model.tokenizers[0].encode(["<toy>"]) == [[714, 715]]


@pytest.mark.parametrize("widths", [(32,), (32, 48)])
def test_files_round_trip(tmp_path, widths):
    vectors = [uniform(str(width), (3, width)).astype(np.float16) for width in widths]
    path = tmp_path / "x.safetensors"
    write_embedding(path, "<toy>", vectors)
    token, got = read_embedding(path)
    assert token == "<toy>"
    assert [array.dtype for array in got] == [np.float16] * len(widths)
    jax.tree.map(np.testing.assert_array_equal, list(got), vectors)
    assert list(tmp_path.iterdir()) == [path]


def write(path: Path, arrays: dict[str, np.ndarray]) -> Path:
    write_safetensors(path, {name: in_memory(array) for name, array in arrays.items()}, {})
    return path


def test_files_of_others(tmp_path):
    """Webui's say no token; XL's are in the order of the encoders, whatever theirs is."""
    one, two = uniform("one", (4,)), uniform("two", (2, 6))
    token, (vectors,) = read_embedding(write(tmp_path / "cat.safetensors", {"emb_params": two}))
    assert token == "cat"
    np.testing.assert_array_equal(vectors, two)
    token, (vectors,) = read_embedding(write(tmp_path / "x.safetensors", {"<dog>": one}))
    assert token == "<dog>"
    np.testing.assert_array_equal(vectors, one[None])
    path = write(tmp_path / "xl.safetensors", {"clip_g": two, "clip_l": one})
    token, (first, second) = read_embedding(path)
    assert (token, first.shape, second.shape) == ("xl", (1, 4), (2, 6))


def test_a_real_file():
    token, (vectors,) = read_embedding(EMBEDDING)
    assert token == "invokeai_test_embedding"
    assert vectors.shape == (5, 768)
    assert relative_error(vectors.std(), np.float32(0.0137)) < 0.01  # as its description says


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": np.zeros((1, 4)), "b": np.zeros((1, 4))}, r"holds 2 tensors \(a, b, ...\), not one"),
        ({"<toy>": np.zeros((1, 4, 1, 1))}, r"holds float64 \[1, 4, 1, 1\]"),
        ({"<toy>": np.zeros((2, 4), np.int64)}, "holds int64"),
        ({"clip_l": np.zeros((0, 4), np.float32)}, r"holds float32 \[0, 4\]"),
        ({"<toy>": np.full((1, 4), np.nan)}, "has vectors that are not finite"),
    ],
)
def test_files_that_are_no_embedding(tmp_path, arrays, message):
    with pytest.raises(ValueError, match=message) as error:
        read_embedding(write(tmp_path / "x.safetensors", arrays))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("token", "vectors", "message"),
    [
        ("in", 1, "'in' is in the vocabulary already"),
        ("<hat>", 1, "'<hat>' is in the vocabulary already"),
        ("<one>", 1, "'<one>_1' is in the vocabulary already"),
        ("", 1, "cannot be found in a prompt"),
        (" <a>", 1, "cannot be found in a prompt"),
        ("<a>", 0, "0 vectors; it needs at least 1"),
    ],
)
def test_tokens_that_cannot_be_added(token, vectors, message):
    config, tokenizer = with_token(CONFIG, TOKENIZER, "<hat>", 1)
    config, tokenizer = with_token(config, tokenizer, "<one>_1", 1)
    with pytest.raises(ValueError, match=message):
        with_token(config, tokenizer, token, vectors)


def test_what_cannot_be_written(tmp_path):
    with pytest.raises(ValueError, match=r"x.pt does not end with .safetensors"):
        write_embedding(tmp_path / "x.pt", "<toy>", [np.zeros((1, 4))])
    with pytest.raises(ValueError, match="for 1 or 2 text encoders, not 0"):
        write_embedding(tmp_path / "x.safetensors", "<toy>", [])
