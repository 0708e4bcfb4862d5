"""The classifier of nsfwjs: a small model of such layers, as TensorFlow.js stored and ran it."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from jaxsd.images.resize import corner_to_corner
from jaxsd.safety import Likelihoods, open_checker

FOLDER = Path(__file__).parent / "goldens" / "layers_model"
RESULTS = json.loads((FOLDER / "results.json").read_text())["results"]


@pytest.mark.parametrize("result", RESULTS, ids=["stretched", "as it is"])
def test_the_same_as_in_tensorflow_js(result: dict) -> None:
    picture = np.uint8(result["picture"])
    resized = corner_to_corner(picture, 12, 12) / np.float32(255)
    np.testing.assert_allclose(resized, result["resized"], atol=1e-6)
    found = open_checker(FOLDER)(picture)
    np.testing.assert_allclose(found.classes, result["output"], atol=1e-6)


def test_the_likeliest_class_decides() -> None:
    assert Likelihoods(np.float32([0.1, 0.2, 0.1, 0.5, 0.1])).reason == "Porn 0.500"
    assert not Likelihoods(np.float32([0.4, 0.3, 0.1, 0.1, 0.1])).reason


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ('"class_name":"Add"', '"class_name":"LSTM"', "layer add: class_name = 'LSTM' is not one"),
        ('"activation":"relu"', '"activation":"tanh"', "activation = 'tanh' is not one of linear"),
        ('"paths":["weights.bin"]', '"paths":["none.bin"]', "none.bin"),
        ('"shape":[6,5]', '"shape":[6,500]', "ends within end/kernel"),
        ('"shape":[6,5]', '"shape":[5,6]', "the layers in .* do not go together"),
        ('"weightsManifest"', '"weights"', "is no layers model of TensorFlow.js .*KeyError"),
    ],
)
def test_what_is_no_such_model(tmp_path: Path, old: str, new: str, why: str) -> None:
    for name in ("model.json", "weights.bin"):
        shutil.copy(FOLDER / name, tmp_path / name)
    text = (tmp_path / "model.json").read_text()
    assert old in text
    (tmp_path / "model.json").write_text(text.replace(old, new))
    with pytest.raises((ValueError, OSError), match=why) as caught:
        open_checker(tmp_path)
    assert "\n" not in str(caught.value)
