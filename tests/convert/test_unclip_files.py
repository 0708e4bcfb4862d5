"""Single files of unCLIP: read by names and shapes, with tower and statistics inside."""

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from convert_fakes import assert_same, random_model, unread
from test_single_file_spec import OPENCLIP, SD2, VAE, bare_file

from jaxsd import convert, families
from jaxsd.config import SightConfig
from jaxsd.convert.files.safetensors_file import read_safetensors, write_safetensors
from jaxsd.convert.original import sight
from jaxsd.convert.original.names import NORMALIZER, VISION
from jaxsd.convert.original.single_file import table
from jaxsd.convert.original.spec import spec_of
from jaxsd.convert.slots import lay_out
from jaxsd.families import UNCLIP_NOISE, VISION_L

SEES = replace(VISION_L, width=32, layers=1, mlp_width=16, image_size=8, patch_size=4)
SPEC = replace(
    families.FAMILIES["sd2-unclip-l"],
    family="custom",
    unet=replace(SD2.unet, label_dim=2 * 768),
    vae=replace(VAE, scaling_factor=0.18215),
    text=(OPENCLIP,),
    sight=SightConfig(SEES, UNCLIP_NOISE),
    guidance_scale=7.5,
)
BESIDE = [  # CLIP's other half, and tables of noise
    ("embedder.model.logit_scale", ()),
    ("embedder.model.transformer.resblocks.0.ln_1.weight", (8,)),
    ("embedder.model.token_embedding.weight", (9, 8)),
    ("noise_augmentor.betas", (9,)),
    ("alphas_cumprod", (9,)),
]


@pytest.fixture(scope="module")
def model() -> dict:
    return random_model(SPEC)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if CLIP-L were as small as the tests' tower."""
    monkeypatch.setattr(sight, "_TOWERS", {SEES.width: SEES})


def without(path: Path, part: str) -> Path:
    """The file again, without the tensors of a part."""
    tensors, _ = read_safetensors(path)
    kept = {name: tensor for name, tensor in tensors.items() if not name.startswith(part)}
    write_safetensors(again := path.with_stem("less"), kept, {})
    return again


@pytest.mark.parametrize("name", ["sd2-unclip-l", "sd2-unclip-h"])
def test_published_numbers_are_told_from_shapes(name: str) -> None:
    spec = families.FAMILIES[name]
    slots, shapes = table(spec)
    tensors = lay_out(slots, shapes, unread(shapes), "it")
    width = spec.sight.vision.projection_dim
    assert tensors["model.diffusion_model.label_emb.0.0.weight"].shape == (1280, 2 * width)
    assert tensors[f"{VISION}proj"].shape == (spec.sight.vision.width, width)
    assert tensors[f"{VISION}conv1.weight"].shape == (spec.sight.vision.width, 3, 14, 14)
    assert spec_of(tensors, {}, None) == spec


@pytest.mark.usefixtures("small")
def test_a_file_is_read_whole(tmp_path: Path, model: dict) -> None:
    bare_file(path := tmp_path / "a.safetensors", SPEC, model, BESIDE)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # no tensor is left aside
        spec, params = convert.read(path)
    assert spec == replace(SPEC, default_size=spec.default_size)
    assert_same(params, model)


def test_what_is_written_says_what_it_is(tmp_path: Path, model: dict) -> None:
    convert.write_single_file(path := tmp_path / "a.safetensors", SPEC, model)
    spec, params = convert.read(path)
    assert spec == SPEC
    assert_same(params, model)


@pytest.mark.usefixtures("small")
def test_a_file_without_statistics(tmp_path: Path, model: dict) -> None:
    """As published: CLIP-L's are in another file, which a line says."""
    bare_file(path := tmp_path / "a.safetensors", SPEC, model)
    with pytest.warns(UserWarning, match=r"less\.safetensors: it lacks the mean .* 0 and 1 are"):
        _, params = convert.read(without(path, NORMALIZER))
    usual = {"mean": np.zeros((1, 768), np.float32), "std": np.ones((1, 768), np.float32)}
    assert_same(params["normalizer"], usual)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("part", "complaint"),
    [
        (f"{NORMALIZER}std", r"1 missing: noise_augmentor\.data_std"),
        (f"{VISION}proj", r"embedder\.model\.visual\.proj is missing or of the wrong shape"),
        (f"{VISION}ln_pre", r"2 missing: embedder\.model\.visual\.ln_pre\.bias"),
        (VISION, "added|label|conditions"),
    ],
)
def test_a_file_that_lacks_something(
    tmp_path: Path, model: dict, part: str, complaint: str
) -> None:
    bare_file(path := tmp_path / "a.safetensors", SPEC, model)
    with pytest.raises(ValueError, match=complaint):
        convert.read(without(path, part))


def test_a_tower_that_is_not_known(tmp_path: Path, model: dict) -> None:
    bare_file(path := tmp_path / "a.safetensors", SPEC, model)
    tensors, _ = read_safetensors(path)
    name = f"{VISION}conv1.weight"
    tensors[name] = tensors[name].transformed((8, 3, 4, 4), lambda array: array[:8])
    write_safetensors(path.with_stem("b"), tensors, {})
    with pytest.raises(ValueError, match="vision tower is 8 wide, and that of unCLIP 1024 or 1280"):
        convert.read(path.with_stem("b"))
