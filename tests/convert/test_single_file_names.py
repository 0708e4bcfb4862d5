"""Names and shapes of single files, against lists that somebody else made of real files."""

import numpy as np
import pytest
from convert_fakes import unread
from real_files import keymap, real_shapes

from jaxsd import families
from jaxsd.convert.diffusers.names import text_slots
from jaxsd.convert.files.tensors import in_memory
from jaxsd.convert.names import torch_slots
from jaxsd.convert.original.names import TEXT, UNET, VAE
from jaxsd.convert.original.single_file import model_of, single_file_tensors, table
from jaxsd.convert.original.spec import spec_of
from jaxsd.convert.parameters import parameters
from jaxsd.convert.slots import Mismatch, lay_out
from jaxsd.families import SD1, SD2, SD2_V, SDXL, SDXL_REFINER

CLIP = TEXT["v1"][0]
CLIP_XL, BIGG_XL = TEXT["xl"]
VAE_LIST = ("VAE-v1-SD", VAE)

# Family -> the lists that make up one of its files, each with the prefix it has there.
FILES = {
    "sd1": (("UNET-v1-SD", UNET), VAE_LIST, ("CLIP-v1-SD", CLIP)),
    "sd1-inpainting": (("UNET-v1-Inpainting", UNET), VAE_LIST, ("CLIP-v1-SD", CLIP)),
    "sd2": (("UNET-v2-SD", UNET), VAE_LIST, ("CLIP-v2-SD", TEXT["v2"][0])),
    "sd2-v": (("UNET-v2-SD", UNET), VAE_LIST, ("CLIP-v2-WD", TEXT["v2"][0])),
    "sd2-inpainting": (("UNET-v2-Inpainting", UNET), VAE_LIST, ("CLIP-v2-SD", TEXT["v2"][0])),
    "sdxl": (
        ("UNET-XL-SD", UNET),
        VAE_LIST,
        ("CLIP-v1-SD", CLIP_XL),
        ("CLIP-XL-SD", BIGG_XL),
    ),
    "sdxl-refiner": (("UNET-XL-Refiner", UNET), VAE_LIST, ("CLIP-XL-SD", TEXT["refiner"][0])),
}


def real_file(family):
    shapes = {}
    for name, prefix in FILES[family]:
        shapes |= real_shapes(name, prefix)
    return unread(shapes)


@pytest.mark.parametrize("family", FILES)
def test_spec_is_derived(family):
    prediction = "v" if family == "sd2-v" else "epsilon" if family == "sd2" else None
    assert spec_of(real_file(family), {}, prediction) == families.FAMILIES[family]


@pytest.mark.parametrize("family", FILES)
def test_every_parameter_is_found(family):
    model = model_of(real_file(family), families.FAMILIES[family])
    for part, shapes in model.tensors.items():
        assert {path: tensor.shape for path, tensor in shapes.items()} == {
            path.removeprefix(f"{part}/"): shape
            for path, shape in table(model.spec)[1].items()
            if path.startswith(f"{part}/")
        }


@pytest.mark.parametrize("family", FILES)
def test_written_names_are_the_real_ones(family):
    real = {name: tensor.shape for name, tensor in real_file(family).items()}
    model = model_of(real_file(family), families.FAMILIES[family])
    written = {name: tensor.shape for name, tensor in single_file_tensors(model)[0].items()}
    left_out = {name for name in real if name not in written}
    assert written == {name: shape for name, shape in real.items() if name not in left_out}
    beyond = f"{TEXT['v2'][0]}transformer.resblocks.23."
    allowed = ("logit_scale", "text_projection")
    assert all(name.startswith(beyond) or name.endswith(allowed) for name in left_out)
    if family in ("sd1", "sd1-inpainting", "sd2-v"):
        assert not left_out


# Family -> the list's name, and what it puts before diffusers' names of each part.
KEYMAPS = {
    "sd1": ("sd1", {"unet": "unet_", "vae": "vae_", "text_0": "te_"}),
    "sd2": ("sd2", {"unet": "unet_", "vae": "vae_", "text_0": "te_"}),
    "sdxl": ("sdxl", {"unet": "unet_", "vae": "vae_", "text_0": "te0_", "text_1": "te1_"}),
    "sdxl-refiner": ("refiner", {"unet": "unet_", "vae": "vae_", "text_0": "te1_"}),
}


@pytest.mark.parametrize("family", KEYMAPS)
def test_both_names_of_a_tensor_are_those_of_a_keymap(family):
    """ai-toolkit's list, which lacks OpenCLIP's projection and has fused tensors elsewhere."""
    spec, (name, prefixes) = families.FAMILIES[family], KEYMAPS[family]
    pairs = keymap(name)["ldm_diffusers_keymap"]
    original = {slot.path: slot.name for slot in table(spec)[0] if slot.third is None}
    ours = {}
    for part, shapes in parameters(spec).items():
        for slot in (text_slots if part.startswith("text") else torch_slots)(shapes):
            path = f"{part}/{slot.path}"
            if path in original and not slot.name.startswith("text_projection"):
                ours[original[path]] = prefixes[part] + slot.name
    assert len(ours) > 1000
    assert ours.items() <= pairs.items()


def test_averaged_names_are_the_real_ones():
    dots = real_shapes("UNET-v1-SD")
    assert {name.replace(".", ""): shape for name, shape in dots.items()} == real_shapes(
        "UNET-v1-EMA"
    )
    assert len(dots) == 686


def with_unet(name):
    return unread(
        real_shapes(name, UNET) | real_shapes("VAE-v1-SD", VAE) | real_shapes("CLIP-v1-SD", CLIP)
    )


def test_the_x4_upscaler():
    """No list of its file was at hand; `test_x4_parity.py` compares names with diffusers'."""
    slots, shapes = table(families.X4)
    tensors = lay_out(slots, shapes, unread(shapes), "it")
    assert spec_of(tensors | unread({"low_scale_model.betas": (1000,)}), {}, None) == families.X4
    assert tensors[f"{UNET}label_emb.weight"].shape == (1000, 1024)
    assert tensors[f"{UNET}input_blocks.4.1.transformer_blocks.0.attn1.to_k.weight"].shape == (
        512,
        1024,
    )


def test_depth_to_image_is_read_without_its_network_for_depth():
    others = {f"depth_model.model.{name}": s for name, s in real_shapes("Depth-v2-SD").items()}
    unet = real_shapes("UNET-v2-Depth", UNET)
    tensors = {n: t for n, t in real_file("sd2").items() if not n.startswith(UNET)}
    tensors |= unread(unet | others)
    spec = spec_of(tensors, {}, None)
    assert spec == families.FAMILIES["sd2-depth"]
    assert spec.unet.sees == "depth"
    assert model_of(tensors, spec).tensors["unet"]["conv_in/kernel"].shape == (3, 3, 5, 320)


def test_instruct_pix2pix_is_read():
    tensors = with_unet("UNET-v1-Pix2Pix")
    spec = spec_of(tensors, {}, None)
    assert spec == families.FAMILIES["sd1-pix2pix"]
    assert spec.unet.sees == "picture"
    assert model_of(tensors, spec).tensors["unet"]["conv_in/kernel"].shape == (3, 3, 8, 320)


def test_missing_unused_and_misshapen_are_listed():
    tensors = real_file("sd1")
    del tensors[f"{UNET}out.2.bias"]
    tensors |= unread({"cond_stage_model.surprise": (3,), f"{VAE}quant_conv.bias": (9,)})
    with pytest.raises(Mismatch) as caught:
        model_of(tensors, SD1)
    message = str(caught.value)
    assert "1 missing: model.diffusion_model.out.2.bias" in message
    assert "1 unused: cond_stage_model.surprise" in message
    assert "1 misshapen: first_stage_model.quant_conv.bias [9] instead of [8]" in message
    assert "\n" not in message


@pytest.mark.parametrize("spec", [SD2, SDXL, SDXL_REFINER])
def test_another_family_does_not_fit(spec):
    with pytest.raises(Mismatch, match=r"\d+ missing.*and \d+ more"):
        model_of(real_file("sd1"), spec)


def test_sd2_needs_to_be_told_what_it_predicts():
    with pytest.raises(ValueError, match=r"prediction to epsilon .* or to v"):
        spec_of(real_file("sd2"), {}, None)
    stated = {"modelspec.prediction_type": "v"}
    assert spec_of(real_file("sd2"), stated, None) == SD2_V
    assert spec_of(real_file("sd2-inpainting"), {}, None).prediction == "epsilon"


def test_markers_of_xl_models():
    marked = real_file("sdxl") | unread({"v_pred": (0,), "ztsnr": (0,)})
    spec = spec_of(marked, {}, None)
    assert (spec.family, spec.prediction) == ("sdxl-v", "v")
    assert spec.schedule.zero_terminal_snr
    assert spec.schedule.spacing == "trailing"
    assert spec_of(real_file("sdxl"), {}, None).schedule.spacing == "leading"
    model = model_of(marked, spec)
    assert {"v_pred", "ztsnr"} <= single_file_tensors(model)[0].keys()
    named = spec_of(real_file("sdxl"), {"modelspec.prediction_type": "v_prediction"}, None)
    assert (named.family, named.prediction) == ("sdxl-v", "v")
    with pytest.raises(ValueError, match="'flow', which is not one of"):
        spec_of(real_file("sdxl"), {"modelspec.prediction_type": "flow"}, None)
    assert spec_of(real_file("sdxl"), {"modelspec.prediction_type": "flow"}, "v") == named


def test_models_with_continuous_noise():
    """The tensors of CosXL, as ComfyUI looks for them, and of Playground 2.5."""
    ends = {"edm_vpred.sigma_min": 0.002, "edm_vpred.sigma_max": 120.0}
    vae = families.VAE_PLAYGROUND
    statistics = {"edm_mean": vae.latents_mean, "edm_std": vae.latents_std}
    for family, marks in (("cosxl", ends), ("playground-2.5", statistics)):
        arrays = {name: np.float32(value) for name, value in marks.items()}
        tensors = real_file("sdxl") | {name: in_memory(array) for name, array in arrays.items()}
        spec = spec_of(tensors, {}, None)
        assert spec == families.FAMILIES[family]
        written = single_file_tensors(model_of(tensors, spec))[0]
        for name, array in arrays.items():
            np.testing.assert_array_equal(written[name].read().reshape(array.shape), array)
        assert "v_pred" not in written
    del tensors["edm_std"]
    with pytest.raises(ValueError, match="no tensor edm_std, which goes with its others"):
        spec_of(tensors, {}, None)
    tensors["edm_std"] = in_memory(np.zeros(3, np.float32))
    with pytest.raises(ValueError, match=r"edm_std has \[3\] numbers, not 4"):
        spec_of(tensors, {}, None)
