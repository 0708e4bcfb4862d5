"""Drawing again what a picture says: our own settings whole, those of others where we have them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from jaxsd.images import png_bytes, write_picture
from jaxsd.metadata import Made, changed, check_same_files, expressed, read_again
from jaxsd.settings import Recipe, Settings, settings_from
from jaxsd.webui import parameters_text, parse_parameters, texts_of

PICTURES = Path(__file__).parents[1] / "data/pictures"
IMAGE = np.zeros((16, 24, 3), np.uint8)
REAL = {
    # file: sampler, steps, guidance scale, seed, size, what is left out
    "webui.png": ("unipc", 15, 5, 235284042, (512, 400), ()),
    "webui_itxt.png": ("dpm++_2m_karras", 20, 7, 3782896554, (1024, 1024), ()),
    "webui.jpg": ("dpm++_2m_karras", 20, 5.5, 3623174757, (1024, 1024), ()),
    "webui_stealth.png": ("euler", 20, 7, 2015833630, (64, 64), ()),
    "civitai.jpg": ("euler_a", 25, 5, 1311178179, (1024, 1024), ()),
    "sdcpp_json.png": ("euler", 20, 7, 42, (512, 512), ("Eta inf", "VAE wan_2.1_vae.safetensors")),
    "swarmui.jpg": ("euler_a_karras", 20, 7, 697543491, (1024, 1024), ()),
    "ruined_fooocus.png": ("dpm++_2m_sde_karras", 30, 8, 2020047614, (1024, 1024), ()),
    "invokeai_dream.png": ("lms", 50, 5, 2980747362, (512, 768), ()),
}


@pytest.mark.parametrize("name", REAL)
def test_real_pictures_of_other_programs(name: str) -> None:
    sampler, steps, scale, seed, size, left = REAL[name]
    recipe, by, found = read_again(PICTURES / name)
    made = recipe.settings
    assert (made.sampler, made.steps, made.guidance_scale) == (sampler, steps, scale)
    assert (made.seed, (made.width, made.height), found) == (seed, size, left)
    assert made.prompt
    assert made.clip_skip == (2 if name in ("webui_stealth.png", "civitai.jpg") else None)
    assert recipe.model == ""
    assert by


def test_what_cannot_be_drawn_without_more() -> None:
    comfy = PICTURES / "comfyui.png"
    with pytest.raises(ValueError, match=r"made by ComfyUI: .* strength 0.87; .* --image"):
        read_again(comfy)
    made = read_again(comfy, {"image": "bee.png"}).recipe.settings
    assert (made.sampler, made.strength) == ("dpm++_2m_normal", 0.87)
    with pytest.raises(ValueError, match=r"a\.png does not say what made it"):
        read_again(png_named("a.png"))


def png_named(name: str) -> Path:
    path = Path(name)
    write_picture(path, IMAGE)
    return path


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("program", "said", "want"),
    [
        ("webui v1.9", {"Sampler": "DPM++ 2M", "Schedule type": "Automatic"}, "dpm++_2m_karras"),
        ("webui v1.9", {"Sampler": "Euler a", "Schedule type": "Automatic"}, "euler_a"),
        ("webui", {"Sampler": "DPM++ 2M SDE Karras"}, "dpm++_2m_sde_karras"),
        ("ComfyUI", {"Sampler": "dpmpp_2m_sde_gpu", "Schedule type": "beta"}, "dpm++_2m_sde_beta"),
        ("InvokeAI 5", {"Sampler": "dpmpp_2m_k"}, "dpm++_2m_karras"),
        ("stable-diffusion.cpp", {"Sampler": "dpm++2m discrete"}, "dpm++_2m"),
        ("diffusers", {"Sampler": "EulerDiscreteScheduler"}, "euler"),
    ],
)
def test_samplers_under_the_names_of_others(program: str, said: dict, want: str) -> None:
    assert expressed(Made(program, "a", "", said)) == (
        {"prompt": "a", "negative_prompt": "", "sampler": want},
        (),
    )


def test_what_is_left_out_has_a_name() -> None:
    said = {
        "Sampler": "euler",
        "Schedule type": "no such",
        "Face restoration": "CodeFormer",
        "Tiling": "false",
        "Eta": "0.5",
        "resolution": "(1152, 896)",
    }
    values, left = expressed(Made("webui", "a <lora:style:0.7> cat", None, said))
    assert left == ("LoRA style", "schedule no such", "Face restoration CodeFormer")
    assert (values["sampler_options"], values["size"]) == (("eta=0.5",), "1152x896")
    with pytest.raises(ValueError, match=r"sampler 'DPM fast' is not here; give --sampler, one of"):
        expressed(Made("webui", "a", "", {"Sampler": "DPM fast"}))
    with pytest.raises(ValueError, match="its prompt can not be told; give one"):
        expressed(Made("ComfyUI", None, None, {"Sampler": "euler"}))
    assert expressed(Made("ComfyUI", None, None, {}), {"prompt": "a", "sampler": "lms"})[1] == ()


@pytest.mark.parametrize(
    ("program", "said", "want"),
    [
        ("webui", {"Clip skip": "2"}, 2),
        ("webui", {"Clip skip": "1"}, None),
        ("InvokeAI 5", {"Clip skip": "1"}, 2),
        ("InvokeAI 5", {"Clip skip": "0"}, None),
        ("SwarmUI", {"clipstopatlayer": "-2"}, 2),
        ("ComfyUI", {"stop_at_clip_layer": "-1"}, 1),
        ("stable-diffusion.cpp", {"Clip skip": "-1"}, None),
    ],
)
def test_layers_of_the_text_encoder(program: str, said: dict, want: int | None) -> None:
    values, left = expressed(Made(program, "a", "", said | {"Sampler": "euler"}))
    assert (settings_from(values).clip_skip, left) == (want, ())


@pytest.mark.parametrize(
    ("program", "tag", "ours"),
    [
        ("webui", "<lora:x:0.7>", "<lora:x:0.7>"),
        ("webui", "<lyco:x>", "<lora:x>"),
        ("webui", "<lora:x:0.2:0.7>", "<lora:x:0.2:0.7>"),  # of the text encoder first, as with us
        ("webui", "<lora:x:unet=0.5>", "<lora:x:1:0.5>"),
        ("webui", "<lora:x:te=0.2>", "<lora:x:0.2:0.2>"),
        ("webui", "<lora:x:0.2:0.7:te=0.4>", "<lora:x:0.4:0.7>"),
        ("SwarmUI", "<lora:x:0.7:0.2>", "<lora:x:0.2:0.7>"),
        ("webui", "<lora:x:0.7:lbw=ALL>", None),
        ("webui", "<hypernet:x:0.7>", None),
    ],
)
def test_tags_of_loras(program: str, tag: str, ours: str | None) -> None:
    made = Made(program, f"a {tag}cat", "", {"Sampler": "euler"})
    values, left = expressed(made, {"lora_folder": "loras"})
    assert (values["prompt"], left) == (f"a {ours or ''}cat", () if ours else ("LoRA x",))
    values, left = expressed(made)
    assert (values["prompt"], left) == ("a cat", ("LoRA x",))


THRESHOLD = {
    "Dynamic thresholding enabled": "True",
    "Mimic scale": "7",
    "Threshold percentile": "90",
    "Separate Feature Channels": "True",
    "Scaling Startpoint": "MEAN",
    "Variability Measure": "AD",
    "Interpolate Phi": "1",
}
FREEU = {"freeu_enabled": "True", "freeu_b1": "1.3", "freeu_b2": "1.4", "freeu_s1": "0.9"}
FREEU |= {"freeu_s2": "0.2"}


def test_guidance_by_extensions_of_webui() -> None:
    said = THRESHOLD | FREEU | {"Sampler": "euler", "CFG Rescale phi": "0.7"}
    said |= {"SAG Guidance Scale": "0.75", "SAG Mask Threshold": "1.0", "PAG Active": "True"}
    values, left = expressed(Made("webui", "a", "", said | {"PAG Scale": "3"}))
    settings = settings_from(values)
    assert left == ()
    assert (settings.mimic_scale, settings.freeu) == ((7.0, 0.9), (1.3, 1.4, 0.9, 0.2))
    assert (settings.sag, settings.pag, settings.guidance_rescale) == (0.75, 3.0, 0.7)
    forge = {"dynthres_enabled": "True", "dynthres_mimic_scale": "7", "dynthres_sched_val": "1"}
    forge |= {"dynthres_threshold_percentile": "100", "dynthres_mimic_mode": "Constant"}
    values, left = expressed(Made("webui", "a", "", forge | {"Sampler": "euler"}))
    assert (settings_from(values).mimic_scale, left) == ((7.0, 1.0), ())


def test_guidance_that_is_another_here_is_left_out_whole() -> None:
    for other in ({"Scaling Startpoint": "ZERO"}, {"Mimic mode": "Cosine Down"}):
        said = THRESHOLD | other | {"Sampler": "euler"}
        values, left = expressed(Made("webui", "a", "", said))
        assert "mimic_scale" not in values
        assert {"Mimic scale 7", "Threshold percentile 90"} <= set(left)


def test_numbers_of_guidance_that_are_none_are_named() -> None:
    said = THRESHOLD | {"Threshold percentile": "most", "Sampler": "euler"}
    with pytest.raises(ValueError, match="the percentile of thresholding 'most' is not a finite"):
        expressed(Made("webui", "a", "", said))


def test_a_second_pass_and_variations_of_webui() -> None:
    said = {
        "Sampler": "Euler",
        "Denoising strength": "0.55",
        "Hires upscale": "1.5",
        "Hires steps": "12",
        "Hires upscaler": "Latent",
        "Variation seed": "7",
        "Variation seed strength": "0.2",
        "Seed resize from": "512x384",
    }
    values, left = expressed(Made("webui", "a", "", said))
    settings = settings_from(values)
    assert (settings.hires, settings.hires_steps, settings.hires_strength) == (1.5, 12, 0.55)
    assert (settings.variation_seed, settings.variation_strength) == (7, 0.2)
    assert (settings.seed_resize, settings.hires_upscaler, left) == ((512, 384), "latent", ())
    # What we write is what we read.
    filled = {"steps": 20, "guidance_scale": 5.0, "width": 512, "height": 768}
    recipe = Recipe(replace(settings, **filled), "m", "", "1")
    again = expressed(Made("webui", "a", "", parse_parameters(parameters_text(recipe))))[0]
    told = ("hires", "hires_strength", "variation_strength", "variation_seed", "seed_resize")
    for name in told:
        assert getattr(settings_from({name: again[name]}), name) == getattr(settings, name)
    said["Hires upscaler"] = "R-ESRGAN 4x+"
    values, left = expressed(Made("webui", "a", "", said))
    assert left == ("Hires upscale 1.5 by R-ESRGAN 4x+",)
    assert not {"hires", "strength"} & set(values)


def test_our_own_recipe_comes_back_whole_with_changes() -> None:
    settings = Settings(
        "a cat", sampler="heun", strength=1.0, width=24, height=16, guidance_scale=2.0
    )
    recipe = Recipe(settings, "m.ckpt", "bfloat16", "1", batch_size=4, reading={"prediction": "v"})
    for name in ("a.png", "a.jpg", "a.webp"):
        write_picture(name, IMAGE, texts_of(recipe))
        assert read_again(name).recipe == recipe
    assert changed(recipe, {}) == replace(settings, strength=None)
    more = changed(recipe, {"steps": "7", "image": "b.png"})
    assert (more.steps, more.image, more.sampler, more.strength) == (7, "b.png", "heun", None)


def test_pictures_that_have_changed_are_named() -> None:
    recipe = Recipe(Settings(), "", "", "", pictures={"a.png": "0" * 64})
    check_same_files(recipe, {"a.png": "0" * 64, "b.png": "1" * 64})
    with pytest.raises(ValueError, match=r"file 'a\.png' has changed since: its sha256 was 000"):
        check_same_files(recipe, {"a.png": "1" * 64})


def test_a_graph_with_more_than_a_sampler_says_so() -> None:
    graph = """{"1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "x"}},
    "2": {"class_type": "LoraLoader", "inputs": {"model": ["1", 0], "lora_name": "y"}},
    "3": {"class_type": "CLIPTextEncode", "inputs": {"text": "a cat"}},
    "4": {"class_type": "KSampler", "inputs": {"model": ["2", 0], "positive": ["3", 0],
          "negative": ["3", 0], "seed": 1, "steps": 9, "sampler_name": "euler"}},
    "5": {"class_type": "KSampler", "inputs": {"model": ["2", 0], "positive": ["3", 0],
          "negative": ["3", 0], "seed": 1, "latent_image": ["4", 0]}}}"""
    Path("a.png").write_bytes(png_bytes(IMAGE, {"prompt": graph}))
    again = read_again("a.png")
    assert again.left == ("LoRA y", "Samplers 2")
    assert again.by == "ComfyUI with x"
