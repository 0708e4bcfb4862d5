"""The LoRA and the word that ship: they are found by name, and are what they claim to be."""

import numpy as np
import pytest

import jaxsd
from jaxsd.adapters.embedding import read_embedding
from jaxsd.convert import open_model
from jaxsd.pipeline.adapting import lora_file
from jaxsd.settings import Lora
from jaxsd.settings.adapters import BUILT_IN, adapter_place

TEAL = (0, 128, 128)
THINGS = ("red apple", "cat face", "house", "rocket", "guitar", "pizza", "snowman", "car")


def test_they_are_small_and_of_the_built_in_model() -> None:
    assert sum(adapter_place(name).stat().st_size for name in BUILT_IN) <= 2_500_000
    spec = open_model("emoji").spec
    changes = lora_file(Lora("emoji-neon"), spec).lora
    assert len(changes) == 168
    assert all(path.startswith("unet/") for path in changes)
    word, vectors = read_embedding(adapter_place("emoji-teal"))
    assert word == "<teal>"
    assert [one.shape for one in vectors] == [(2, spec.text[0].width)]


def test_a_name_that_is_none() -> None:
    with pytest.raises(FileNotFoundError, match=r"no file 'emoji-neno'; .* are emoji-neon"):
        adapter_place("emoji-neno")


@pytest.fixture(scope="module")
def pipe() -> jaxsd.Pipeline:
    return jaxsd.load("emoji")


def ground(pictures: np.ndarray) -> np.ndarray:
    """The colour in the corners of each picture, [B, 3]."""
    corners = pictures[:, [4, 4, -5, -5]][:, :, [4, -5, 4, -5]]
    return np.median(corners.reshape(len(pictures), -1, 3), axis=1)


@pytest.mark.release
def test_neon_signs_are_dark_and_glow(pipe: jaxsd.Pipeline, capsys: pytest.CaptureFixture) -> None:
    """As what it was trained on, whose mean is 58; a fifth of the pixels is bright there."""
    prompts, told = [f"a {thing}" for thing in THINGS], {"seed": 5, "steps": 12}
    plain, signs = (pipe.text_to_image(prompts, lora=lora, **told) for lora in ([], ["emoji-neon"]))
    with capsys.disabled():
        print(f"mean {plain.mean():.0f}, {signs.mean():.0f}; ground {ground(signs).round()}")
    assert plain.mean() > 180
    assert signs.mean() < 80
    assert ground(signs).max() < 60
    assert (signs.max(axis=-1) > 150).mean(axis=(1, 2)).min() > 0.03


@pytest.mark.release
def test_the_word_is_its_colour(pipe: jaxsd.Pipeline, capsys: pytest.CaptureFixture) -> None:
    """Nearer to it than with the two colours next to it that the model knows by name."""
    found = {}
    for word in ("<teal>", "green", "blue"):
        prompts = [f"a {thing} on a {word} background" for thing in THINGS]
        pictures = pipe.text_to_image(prompts, embedding=["emoji-teal"], seed=5, steps=12)
        found[word] = float(np.abs(ground(pictures) - TEAL).mean())
    with capsys.disabled():
        print({word: round(distance) for word, distance in found.items()})
    assert found["<teal>"] < 0.5 * min(found["green"], found["blue"])
