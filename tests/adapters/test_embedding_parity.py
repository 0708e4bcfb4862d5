"""Live against diffusers: it loads what is written here, and encodes prompts to the same."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")
transformers = pytest.importorskip("transformers")

from safetensors.torch import load_file
from tiny_models import TINY, abstract_text, apply, random_params, relative_error, uniform
from torch_twins import load, text_twin

from jaxsd.adapters.embedding import read_embedding, with_embedding, with_token, write_embedding
from jaxsd.models import TextEncoder
from jaxsd.parity.modules import run_text
from jaxsd.text import Tokenizer, clip_vocabulary, vocabulary_of, write_tokenizer

pytestmark = pytest.mark.parity

VOCABULARY = vocabulary_of(clip_vocabulary().merges[:200])
PROMPTS = ["a <toy> in the", "<toy> and <toy>", "in the"]
TOLERANCE = 1e-5
"""Of the largest value: float32 sums in another order."""


def encoders_of(family: str, folder):
    """(config, tree, our tokenizer, their encoder, their tokenizer) of each text encoder."""
    for k, config in enumerate(TINY[family].text):
        config = replace(config, vocab_size=714, pad_token=config.pad_token and 713)
        params = random_params(abstract_text(config))
        tokenizer = Tokenizer(VOCABULARY, config.max_length, config.pad_token)
        write_tokenizer(folder / str(k), tokenizer)
        theirs = transformers.CLIPTokenizer.from_pretrained(folder / str(k))
        yield config, params, tokenizer, load(text_twin(config), params), theirs


@pytest.mark.parametrize("vectors", [1, 3])
@pytest.mark.parametrize("family", ["sd1", "sdxl"])
def test_diffusers_encodes_the_same(tmp_path, family, vectors):
    """Context and pooled vector, of prompts with and without the token."""
    encoders = list(encoders_of(family, tmp_path))
    arrays = [uniform(f"v{config.width}", (vectors, config.width)) for config, *_ in encoders]
    path = tmp_path / "toy.safetensors"
    write_embedding(path, "<toy>", arrays)
    token, read = read_embedding(path)
    pipe = bare_pipeline()
    for k, (config, params, tokenizer, encoder, theirs) in enumerate(encoders):
        # For XL diffusers is given the vectors of one encoder at a time.
        source = path if len(encoders) == 1 else load_file(path)[("clip_l", "clip_g")[k]]
        pipe.load_textual_inversion(source, token="<toy>", tokenizer=theirs, text_encoder=encoder)
        config, tokenizer = with_token(config, tokenizer, token, vectors)
        ids = tokenizer(PROMPTS)
        prompts = pipe.maybe_convert_prompt(PROMPTS, theirs)
        length = {"max_length": config.max_length, "padding": "max_length", "truncation": True}
        np.testing.assert_array_equal(theirs(prompts, **length, return_tensors="np").input_ids, ids)
        got = apply(TextEncoder(config), with_embedding(params, read[k]), ids=ids)
        for ours, want in zip(got, run_text(encoder, config, ids), strict=True):
            assert relative_error(ours, want) <= TOLERANCE


def bare_pipeline():
    """A pipeline for its loader alone."""
    parts = dict.fromkeys(
        ("vae", "text_encoder", "tokenizer", "unet", "scheduler", "safety_checker")
    )
    return diffusers.StableDiffusionPipeline(
        **parts, feature_extractor=None, requires_safety_checker=False
    )


def test_pickled_files(tmp_path):
    """Webui's .pt and diffusers' learned_embeds.bin."""
    vectors = torch.randn(3, 32)
    webui = {
        "string_to_token": {"*": 265},
        "string_to_param": {"*": torch.nn.Parameter(vectors)},
        "name": "<cat>",
        "step": 500,
        "sd_checkpoint": None,
        "sd_checkpoint_name": None,
    }
    torch.save(webui, tmp_path / "x.pt")
    torch.save({"<dog>": vectors[0]}, tmp_path / "learned_embeds.bin")
    torch.save({"string_to_param": {"*": vectors}}, tmp_path / "nameless.pt")
    for name, token, want in (
        ("x.pt", "<cat>", vectors),
        ("learned_embeds.bin", "<dog>", vectors[:1]),
        ("nameless.pt", "nameless", vectors),
    ):
        found, (array,) = read_embedding(tmp_path / name)
        assert found == token
        np.testing.assert_array_equal(array, want.numpy())
