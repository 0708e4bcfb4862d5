"""Pipelines with LoRAs and learnt words: what they draw, and what is compiled for it."""

import hashlib
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from real_files import EMBEDDING, LORA
from tiny_models import CLIP_L, pipeline_params, uniform
from tiny_pipelines import SMALLEST

from jaxsd.adapters.lora import changed_by_all, initial_lora, merged, merged_weights
from jaxsd.adapters.lora_writing import write_lora_peft
from jaxsd.convert.files.safetensors_file import write_safetensors
from jaxsd.convert.files.tensors import in_memory
from jaxsd.executables import Executables
from jaxsd.outputs import adapter_hashes
from jaxsd.pipeline import Pipeline, check_adapters
from jaxsd.settings import Embedding, Lora, Settings
from jaxsd.text import Tokenizer, clip_vocabulary, vocabulary_of

VOCABULARY = vocabulary_of(clip_vocabulary().merges[:200])  # of 714 tokens
TEXT = replace(CLIP_L, layers=1, vocab_size=714, pad_token=0, max_length=16)
SPEC = replace(SMALLEST, text=(TEXT,))
SIZE = {"height": 4, "width": 4, "steps": 2, "guidance_scale": 1.0}
PATTERNS = ["unet/mid_block/resnets_0/conv1", "q_proj"]


@pytest.fixture(scope="module")
def pipe() -> Pipeline:
    """With programs of its own, to be counted."""
    params = jax.tree.map(jnp.asarray, pipeline_params(SPEC))
    tokenizer = Tokenizer(VOCABULARY, max_length=16, pad_token=0)
    return Pipeline(SPEC, params, (tokenizer,), programs=Executables())


def random_lora(name: str) -> dict:
    lora = initial_lora(pipeline_params(SPEC), PATTERNS, rank=2, alpha=3.0, key=jax.random.key(0))
    for path, factors in lora.items():
        factors["up"] = uniform(f"{name} {path}", factors["up"].shape)
    return lora


def written_lora(folder: Path, name: str) -> str:
    write_lora_peft(folder / f"{name}.safetensors", random_lora(name), SPEC)
    return str(folder / f"{name}.safetensors")


def written_word(folder: Path, name: str, vectors: np.ndarray) -> str:
    path = folder / f"{name}.safetensors"
    write_safetensors(path, {"emb_params": in_memory(vectors)}, {})
    return str(path)


def drawn(pipe: Pipeline, prompt: str = "the ring", **options) -> np.ndarray:
    """The latents, drawn row by row; nothing is decoded."""
    *_, last = pipe.steps(pipe.order(prompt, **SIZE, **options))
    return np.asarray(last.state.samples[:, 0])


def test_a_lora_is_what_merging_it_gives_and_compiles_no_network(pipe, tmp_path):
    plain = drawn(pipe)
    networks = len(pipe.programs._ready)
    first, second = (written_lora(tmp_path, name) for name in ("style", "pen"))
    got = drawn(pipe, lora=[f"{first}:0.5:-1"])
    parts = {name: {} for name in ("unet", "text")}
    for path, factors in random_lora("style").items():
        parts[path.partition("/")[0]][path] = factors
    tree = merged(merged(pipe.params, parts["unet"], 0.5), parts["text"], -1.0)
    np.testing.assert_allclose(got, drawn(replace(pipe, params=tree)), atol=1e-5)
    assert np.abs(got - plain).max() > 0.01
    programs = changed_by_all._cache_size()
    assert np.abs(drawn(pipe, lora=[f"{second}:0.7"]) - got).max() > 0.01
    np.testing.assert_array_equal(drawn(pipe, lora=[f"{first}:0"]), plain)
    np.testing.assert_array_equal(drawn(pipe), plain)
    assert changed_by_all._cache_size() == programs
    assert len(pipe.programs._ready) == networks


def test_a_tag_in_the_prompt_is_the_option(pipe, tmp_path):
    file = written_lora(tmp_path, "style")
    prompt = "the <lora:style:0.7:0.2>ring"
    folder = {"lora_folder": [str(tmp_path)]}
    assert pipe.order(prompt, **folder, **SIZE).settings[0].prompt == prompt
    got = drawn(pipe, prompt, **folder)
    np.testing.assert_array_equal(got, drawn(pipe, lora=f"{file}:0.2:0.7"))


def test_a_word_compiles_the_text_encoder_alone_and_once(pipe, tmp_path):
    """A word with the vectors of others is drawn as those are."""
    plain = drawn(pipe)
    before = len(pipe.programs._ready)
    [ids] = pipe.tokenizers[0].encode(["ring"])
    vectors = np.asarray(pipe.params["text"][0]["embeddings"]["token_embedding"]["embedding"])[ids]
    assert len(vectors) > 1
    file = written_word(tmp_path, "toy", vectors)
    got = drawn(pipe, "the <hat>", embedding=[f"<hat>={file}"])
    np.testing.assert_allclose(got, plain, atol=1e-5)
    assert len(pipe.programs._ready) == before + 1
    other = written_word(tmp_path, "other", uniform("other", (5, 32)))
    folders = [str(tmp_path)]
    assert np.abs(drawn(pipe, "the OTHER toy", embedding_folder=folders) - plain).max() > 0.01
    assert np.abs(drawn(pipe, "the <hat>", embedding=f"<hat>={other}") - plain).max() > 0.01
    assert len(pipe.programs._ready) == before + 1


def test_a_pipeline_may_keep_adapters(pipe, tmp_path):
    lora = f"{written_lora(tmp_path, 'style')}:0.5"
    word = f"<hat>={written_word(tmp_path, 'toy', uniform('toy', (2, 32)))}"
    kept = pipe.with_adapters([lora], [word])
    np.testing.assert_array_equal(
        drawn(kept, "the <hat>"), drawn(pipe, "the <hat>", lora=[lora], embedding=[word])
    )
    pairs = zip(*(jax.tree.leaves(one.params["vae"]) for one in (kept, pipe)), strict=True)
    assert all(own is other for own, other in pairs)


def test_kernels_of_16_bits_stay_so_and_are_rounded_once():
    """Changes of a third of what float16 can tell apart add up to one."""
    step = 2.0**-10
    kernel, other = jnp.ones((2, 2), jnp.float16), jnp.ones((3,), jnp.float16)
    tree = {"unet": {"kernel": kernel}, "text": [{"bias": other}]}
    lora = {"unet/kernel": {"diff": np.full((2, 2), step, np.float32)}, "text/0/bias": {}}
    got = merged_weights(tree, [(lora, {"unet": 0.4, "text": 0.0})] * 2)
    np.testing.assert_array_equal(got["unet"]["kernel"], np.full((2, 2), 1 + step, np.float16))
    assert got["unet"]["kernel"].dtype == kernel.dtype
    assert got["text"][0]["bias"] is other


def test_a_recipe_has_the_hashes_of_files(tmp_path):
    lora, word = written_lora(tmp_path, "style"), written_word(tmp_path, "toy", np.ones((1, 32)))
    made = Settings("a cat", lora=(Lora(lora),), embedding=(Embedding(word),))
    assert adapter_hashes(made) == {
        file: hashlib.sha256(Path(file).read_bytes()).hexdigest() for file in (lora, word)
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lora": "nowhere.pt:1"}, r"no file 'nowhere.pt'; lora is FILE\[:UNET_WEIGHT"),
        ({"lora": str(LORA)}, "as a LoRA of sd1, .* does not fit"),
        ({"lora": str(EMBEDDING)}, "1 unused: emb_params"),
        (
            {"embedding": "nowhere.pt"},
            "no file 'nowhere.pt'; lora is .*, embedding is FILE or NAME=FILE",
        ),
        ({"embedding": str(EMBEDDING)}, "of width 768, and those of sd1 are 32 wide; take one"),
        ({"embedding": str(LORA)}, "not one embedding"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(pipe, options, message):
    with pytest.raises((ValueError, OSError), match=message) as error:
        pipe.order("a cat", **options, **SIZE)
    assert "\n" not in str(error.value)


def test_images_of_one_call_share_their_loras(pipe):
    images = [Settings("a", lora=(Lora("a.pt", weight),), **SIZE) for weight in (0.5, 0.7)]
    with pytest.raises(ValueError, match=r"share their lora, and here are a.pt:0.5:0.5 and a.pt:0"):
        pipe.order(images)
    with pytest.raises(FileNotFoundError, match=r"no file 'a\.pt'"):
        check_adapters(images, SPEC)
