"""LoRAs and embeddings as they are written in options and in prompts."""

from dataclasses import replace
from pathlib import Path

import pytest
from tiny_models import TINY
from tiny_pipelines import LetterTokenizer

from jaxsd.settings import (
    Adapters,
    Embedding,
    Lora,
    Settings,
    adapters_of,
    bucket_of,
    checked,
    without_tags,
)

SPEC = TINY["sd1"]
TOKENIZERS = [LetterTokenizer(config) for config in SPEC.text]


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """A folder with two LoRAs and two embeddings; nobody reads what is in them."""
    for name in ("style.safetensors", "old/pen.pt", "EasyNegative.safetensors", "toy.bin"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return str(tmp_path)


@pytest.mark.parametrize(
    ("text", "lora", "weights"),
    [
        ("a.safetensors", Lora("a.safetensors"), (1.0, 1.0)),
        ("a.pt:0.7", Lora("a.pt", 0.7), (0.7, 0.7)),
        ("a.pt:0.7:.5", Lora("a.pt", 0.7, 0.5), (0.7, 0.5)),
        ("C:/a.pt:-1e-1", Lora("C:/a.pt", -0.1), (-0.1, -0.1)),
        ("a:b", Lora("a:b"), (1.0, 1.0)),
        ("2:3:4:5", Lora("2:3", 4.0, 5.0), (4.0, 5.0)),
    ],
)
def test_a_lora_is_a_file_and_up_to_two_weights(text, lora, weights):
    assert Lora.parse(text) == lora
    assert lora.weights == weights
    assert Lora.parse(str(lora)).weights == weights


@pytest.mark.parametrize("text", ["", ":1", ":1:2"])
def test_a_lora_without_a_file(text):
    with pytest.raises(ValueError, match=r"is not FILE\[:UNET_WEIGHT\[:TEXT_WEIGHT\]\]"):
        Lora.parse(text)


@pytest.mark.parametrize("text", ["", "=a.pt", "toy="])
def test_an_embedding_without_a_file(text):
    with pytest.raises(ValueError, match="is not FILE or NAME=FILE"):
        Embedding.parse(text)


def test_tags_are_taken_out_of_prompts():
    prompt = "a cat <lora:style:0.7:0.5>, drawn<lora:my pen>"
    text, tags = without_tags(prompt)
    assert text == "a cat , drawn"
    assert tags == (("style", (0.7, 0.5)), ("my pen", ()))
    plain = " (a:1.2) <b> [c] <lora> "
    assert without_tags(plain) == (plain, ())


def test_names_in_prompts_are_files_of_the_folders(folder):
    made = Settings(
        "<lora:pen:0.3:0>an EASYNEGATIVE <lora:style>",
        lora=(Lora("a.pt"),),
        lora_folder=(folder,),
        embedding_folder=(folder,),
    )
    pen, style = Lora(f"{folder}/old/pen.pt", 0.0, 0.3), Lora(f"{folder}/style.safetensors")
    word = Embedding(f"{folder}/EasyNegative.safetensors", "EasyNegative")
    assert adapters_of([made]) == Adapters((Lora("a.pt"), pen, style), (word,))
    assert adapters_of([made]).files == ("a.pt", pen.file, style.file, word.file)
    other = replace(made, prompt="<lora:style>", negative_prompt="a toy", lora=())
    assert [one.name for one in adapters_of([other]).embedding] == ["toy"]
    assert not adapters_of([replace(other, negative_prompt="a toyshop")]).embedding
    assert checked(made, SPEC).prompt == made.prompt
    assert bucket_of(checked(made, SPEC), SPEC, TOKENIZERS) != bucket_of(
        checked(other, SPEC), SPEC, TOKENIZERS
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prompt": "<lora:stile:1>"}, "names a LoRA, and there is none in .*; nearest are style"),
        (
            {"prompt": "<lora:style:1>", "lora_folder": ()},
            "give the folder with --lora-folder",
        ),
        ({"prompt": "<lora:style:much>"}, "is not <lora:NAME"),
        ({"prompt": "<lora:style:1:2:3>"}, "is not <lora:NAME"),
        ({"prompt": "<lora:style:1e5>"}, "out of range; allowed weights are -1000 to 1000"),
        ({"negative_prompt": "<lora:style:1>"}, "belongs into the prompt"),
        ({"lora": (Lora("a.pt", 1.0, 2000.0),)}, "out of range; allowed weights are -1000 to 1000"),
        ({"embedding_folder": ("nowhere",)}, "folder 'nowhere': No such file"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(folder, changes, message):
    made = replace(Settings("a cat", lora_folder=(folder,)), **changes)
    with pytest.raises(ValueError, match=message) as error:
        checked(made, SPEC)
    assert "\n" not in str(error.value)
