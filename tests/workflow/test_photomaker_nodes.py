"""PhotoMaker's nodes: which token is fused, and with which picture."""

from dataclasses import replace

import numpy as np
import pytest
from photomaker_fakes import photomaker_tensors, tower
from safetensors.numpy import save_file
from tiny_models import TINY, pipeline_params

from jaxsd.executables import Executables
from jaxsd.text import clip_tokenizer
from jaxsd.workflow import Workspace
from jaxsd.workflow.nodes import (
    clip_text_encode,
    photo_maker_encode,
    photo_maker_loader,
    photomaker,
)
from jaxsd.workflow.values import Clip, Condition, PhotoMaker

RUN = Executables()
RNG = np.random.default_rng(4)
IMAGES = RNG.random((3, 20, 30, 3), np.float32)
TEXT = "photo of photomaker in red"
AT = 2
"""The place of "of", behind the begin of the text and one word."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    base = tmp_path_factory.mktemp("models")
    (base / "photomaker").mkdir()
    save_file(photomaker_tensors(), base / "photomaker/tiny.safetensors")
    return Workspace(models=[base], programs=RUN)


@pytest.fixture(scope="module")
def maker(place: Workspace) -> PhotoMaker:
    return photo_maker_loader(place, photomaker_model_name="tiny.safetensors")


@pytest.fixture(scope="module")
def clip() -> Clip:
    """The tiny XL's text encoders, with CLIP's words."""
    text = tuple(
        replace(one, vocab_size=49408, pad_token=one.pad_token and 49407)
        for one in TINY["sdxl"].text
    )
    spec = replace(TINY["sdxl"], text=text)
    params = {"text": pipeline_params(spec)["text"]}
    return Clip(spec, params, tuple(map(clip_tokenizer, text)), RUN, "float32")


def encoded(
    place: Workspace, maker: PhotoMaker, clip: Clip, images: np.ndarray, text: str = TEXT
) -> Condition:
    (made,) = photo_maker_encode(place, photomaker=maker, image=images, clip=clip, text=text)
    return made


def test_one_token_is_fused_with_the_first_picture(
    place: Workspace, maker: PhotoMaker, clip: Clip
) -> None:
    (plain,) = clip_text_encode(place, text=TEXT, clip=clip)
    first, second = (encoded(place, maker, clip, images) for images in (IMAGES, IMAGES[1:]))
    differs = (first.context != plain.context).any(axis=(0, 2))
    assert np.flatnonzero(differs).tolist() == [AT]
    np.testing.assert_array_equal(first.pooled, plain.pooled)
    alone = encoded(place, maker, clip, IMAGES[:1])
    np.testing.assert_array_equal(alone.context, first.context)
    assert np.abs(second.context - first.context)[:, AT].max() > 0.01


def test_without_its_layers_a_token_is_normalised(
    place: Workspace, maker: PhotoMaker, clip: Clip
) -> None:
    """Last layers of zeros leave the residuals, and the norm behind them."""
    fuse = maker.params["fuse_module"]
    zeros = {kind: np.zeros_like(own) for kind, own in fuse["mlp1"]["fc2"].items()}
    changed = {name: fuse[name] | {"fc2": zeros} for name in ("mlp1", "mlp2")}
    params = maker.params | {"fuse_module": fuse | changed}
    (plain,) = clip_text_encode(place, text=TEXT, clip=clip)
    token = np.float64(plain.context[0, AT])
    norm = fuse["layer_norm"]
    want = (token - token.mean()) / np.sqrt(token.var() + 1e-5) * norm["scale"] + norm["bias"]
    for images in (IMAGES, IMAGES[1:]):
        made = encoded(place, replace(maker, params=params), clip, images)
        np.testing.assert_allclose(made.context[0, AT], want, atol=1e-5)


def test_without_the_word_the_picture_does_not_count(
    place: Workspace, maker: PhotoMaker, clip: Clip
) -> None:
    text = "photo of photomaker, red"
    (plain,) = clip_text_encode(place, text=text, clip=clip)
    with pytest.warns(UserWarning, match='no word "photomaker" between spaces'):
        made = encoded(place, maker, clip, IMAGES, text)
    np.testing.assert_array_equal(made.context, plain.context)


def test_what_does_not_fit(
    place: Workspace, maker: PhotoMaker, clip: Clip, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = replace(clip, spec=replace(clip.spec, text=clip.spec.text[:1]))
    with pytest.raises(
        ValueError, match="changes tokens of 80 numbers, and the text encoders give 32"
    ):
        encoded(place, maker, small, IMAGES)
    two = Condition(np.zeros((1, 154, 80), np.float32), None)
    monkeypatch.setattr(photomaker, "encoded_text", lambda *_, **__: two)
    with pytest.raises(ValueError, match="its text has more than 75 tokens; shorten it"):
        encoded(place, maker, clip, IMAGES)
    assert maker.config == tower()
