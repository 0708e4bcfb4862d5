"""Files of text encoders alone, with the names and shapes that transformers gives them."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from jaxsd.convert import alone
from jaxsd.convert.files.tensors import LazyTensor
from jaxsd.families import FAMILIES

pytestmark = pytest.mark.parity
CLASSES = {
    "l": (transformers.CLIPTextModel, 768, 12, 3072),
    "h": (transformers.CLIPTextModel, 1024, 23, 4096),
    "g": (transformers.CLIPTextModelWithProjection, 1280, 32, 5120),
}


def shapes(name: str) -> dict[str, LazyTensor]:
    kind, width, layers, wide = CLASSES[name]
    config = transformers.CLIPTextConfig(
        hidden_size=width,
        num_hidden_layers=layers,
        intermediate_size=wide,
        num_attention_heads=width // 64,
        projection_dim=width,
        vocab_size=49408,
    )
    with torch.device("meta"):
        state = kind(config).state_dict()
    names = {
        one if "." in one and one.startswith("text_") else f"text_model.{one}": own
        for one, own in state.items()
    }
    return {
        one: LazyTensor(tuple(own.shape), np.dtype(np.float32), lambda: None)
        for one, own in names.items()
    }


@pytest.mark.parametrize(
    ("files", "family"), [("l", "sd1"), ("h", "sd2"), ("gl", "sdxl"), ("g", "sdxl-refiner")]
)
def test_their_sizes_say_whose_they_are(
    files: str, family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alone, "open_weights", lambda path: (shapes(path.name), {}))
    spec, trees = alone.open_texts([Path(one) for one in files])
    assert spec.text == FAMILIES[family].text
    for text, tree in zip(spec.text, trees, strict=True):
        assert tree["embeddings/token_embedding/embedding"].shape == (49408, text.width)


def test_others_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "text_model.embeddings.token_embedding.weight"
    wide = LazyTensor((49408, 900), np.dtype(np.float32), lambda: None)
    monkeypatch.setattr(alone, "open_weights", lambda path: ({name: wide}, {}))
    with pytest.raises(ValueError, match="no family has text encoders 900 wide"):
        alone.open_texts([Path("l")])
    monkeypatch.setattr(alone, "open_weights", lambda path: ({}, {}))
    with pytest.raises(ValueError, match="a is of a kind that is not known"):
        alone.open_texts([Path("a")])
