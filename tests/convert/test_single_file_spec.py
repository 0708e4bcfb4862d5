"""Single files that say nothing about themselves: read by names and shapes alone."""

from dataclasses import replace

import numpy as np
import pytest
from convert_fakes import assert_same, random_model
from torch_bytes import WRITERS, dict_of, number, of_array

from jaxsd import convert, families
from jaxsd.config import AddedConditions, Level, ModelSpec, UNetConfig
from jaxsd.convert.files.safetensors_file import read_safetensors, write_safetensors
from jaxsd.convert.files.tensors import in_memory

# As small as the original code's constants allow: 32 groups, 8 heads in SD 1, 64 channels a head.
CLIP = replace(families.CLIP_L, width=64, heads=1, layers=2, mlp_width=96, vocab_size=99)
OPENCLIP = replace(families.OPENCLIP_H, width=64, heads=1, mlp_width=96, vocab_size=99)
BIGG = replace(OPENCLIP, width=128, heads=2, layers=2, hidden_layer=-2, projection_dim=32)
VAE = replace(families.VAE_SD, channels=(32, 64), resnets=1)
XL = UNetConfig(
    levels=(Level(64, 1, 0, 1), Level(128, 1, 2, 2)),
    context_dim=192,
    mid_depth=2,
    added=AddedConditions(pooled_dim=32, time_ids=6),
)


def small(spec: ModelSpec, unet: UNetConfig, *text) -> ModelSpec:
    own = spec.vae
    vae = replace(VAE, scaling_factor=own.scaling_factor, force_upcast=own.force_upcast)
    return replace(spec, family="custom", unet=unet, vae=vae, text=text)


SD1 = small(
    families.SD1,
    UNetConfig((Level(64, 2, 1, 8), Level(64, 2, 1, 8), Level(96, 2, 0, 8)), 64, mid_depth=1),
    CLIP,
)
SD2 = small(
    families.SD2, UNetConfig((Level(64, 2, 1, 1), Level(128, 2, 0, 2)), 64, mid_depth=1), OPENCLIP
)
SMALL = {
    "sd1": SD1,
    "sd1-inpainting": replace(SD1, unet=replace(SD1.unet, in_channels=9)),
    "sd1-lcm": replace(SD1, unet=replace(SD1.unet, guidance_dim=16), guidance_scale=8.5),
    "sd2": SD2,
    "sd2-v": replace(SD2, prediction="v"),
    "sdxl": small(families.SDXL, XL, replace(CLIP, hidden_layer=-2), BIGG),
    "sdxl-refiner": small(
        families.SDXL_REFINER,
        replace(XL, context_dim=128, added=AddedConditions(pooled_dim=32, time_ids=5)),
        BIGG,
    ),
}


def bare_file(path, spec, params, extra=()):
    """A single file without metadata, and with tensors that are no parameters."""
    convert.write_single_file(path, spec, params)
    tensors, _ = read_safetensors(path)
    more = {name: in_memory(np.ones(shape, np.float32)) for name, shape in extra}
    write_safetensors(path, tensors | more, {"format": "pt"})


EXTRA = {
    "sd1": [("alphas_cumprod", (9,)), ("betas", (9,)), ("model_ema.decay", ()), ("logvar", (9,))],
    "sd2": [
        ("cond_stage_model.model.transformer.resblocks.23.ln_1.weight", (64,)),
        ("cond_stage_model.model.text_projection", (64, 64)),
        ("cond_stage_model.model.logit_scale", ()),
    ],
}


@pytest.mark.parametrize("family", SMALL)
def test_spec_and_parameters(tmp_path, family):
    spec = SMALL[family]
    params = random_model(spec)
    path = tmp_path / "a.safetensors"
    bare_file(path, spec, params, EXTRA.get(family, ()))
    stated = {"sd2": "epsilon", "sd2-v": "v"}.get(family)
    got, tree = convert.read(path, prediction=stated)
    assert got == replace(spec, default_size=got.default_size)
    assert_same(tree, params)


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_checkpoint(tmp_path, write):
    """A .ckpt in both of PyTorch's formats, by hand."""
    params = random_model(SD1)
    path = tmp_path / "a.safetensors"
    convert.write_single_file(path, SD1, params)
    arrays = {name: tensor.read() for name, tensor in read_safetensors(path)[0].items()}
    state = {name: of_array(array, str(k)) for k, (name, array) in enumerate(arrays.items())}
    value = dict_of({"global_step": number(470000), "state_dict": dict_of(state)})
    write(tmp_path / "a.ckpt", value, {str(k): a for k, a in enumerate(arrays.values())})
    model = convert.open_model(tmp_path / "a.ckpt")
    assert model.spec == SD1
    assert model.facts["global_step"] == "470000"
    assert_same(model.params(), params)


def test_sd2_as_stability_s_later_code_names_it(tmp_path):
    params = random_model(SD2)
    path = tmp_path / "a.safetensors"
    bare_file(path, SD2, params)
    tensors, _ = read_safetensors(path)
    sgm = "conditioner.embedders.0.model."
    named = {name.replace("cond_stage_model.model.", sgm): t for name, t in tensors.items()}
    write_safetensors(path, named, {})
    assert_same(convert.read(path, prediction="epsilon")[1], params)


def test_sd2_does_not_say_what_it_predicts(tmp_path):
    path = tmp_path / "a.safetensors"
    bare_file(path, SD2, random_model(SD2))
    with pytest.raises(ValueError, match=r"prediction to epsilon .* or to v"):
        convert.read(path)


@pytest.mark.parametrize(
    ("part", "complaint"),
    [
        (
            "first_stage_model",
            r"no autoencoder \(first_stage_model\.\); only whole models",
        ),
        ("cond_stage_model", "no text encoder of SD 1, 2 or XL; only whole models are read"),
        ("model.diffusion_model", "is an autoencoder, not a whole model"),
    ],
)
def test_a_file_without_a_part(tmp_path, part, complaint):
    path = tmp_path / "a.safetensors"
    bare_file(path, SD1, random_model(SD1))
    tensors, _ = read_safetensors(path)
    kept = {name: tensor for name, tensor in tensors.items() if not name.startswith(part)}
    write_safetensors(tmp_path / "b.safetensors", kept, {})
    with pytest.raises(ValueError, match=complaint):
        convert.read(tmp_path / "b.safetensors")


SDXL = SMALL["sdxl"]
NARROW = (Level(64, 1, 0, 1), Level(96, 1, 2, 2))


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        (
            replace(SD1, text=(replace(CLIP, width=96, heads=2),)),
            "its text encoder is 96 wide, which is no multiple of 64, the width of a head; take a",
        ),
        (
            replace(SDXL, unet=replace(SDXL.unet, levels=NARROW)),
            r"its U-Net has attention at \[96\] channels, which are not multiples of 64",
        ),
    ],
)
def test_heads_that_nothing_tells_are_not_guessed(tmp_path, spec, complaint):
    path = tmp_path / "a.safetensors"
    bare_file(path, spec, random_model(spec))
    with pytest.raises(ValueError, match=complaint):
        convert.read(path)


@pytest.mark.parametrize(
    "metadata", ["{}", "[]", "{", '{"family": 3}', '{"nonsense": 1}', "null"], ids=repr
)
def test_metadata_that_is_no_spec(tmp_path, metadata):
    path = tmp_path / "a.safetensors"
    convert.write_single_file(path, SD1, random_model(SD1))
    write_safetensors(path, read_safetensors(path)[0], {"jaxsd.spec": metadata})
    with pytest.raises(ValueError, match=r"a\.safetensors cannot be read as a model"):
        convert.read(path)
