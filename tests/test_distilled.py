"""Presets of distilled models: how they are found, and that what a user gives counts."""

from dataclasses import replace
from pathlib import Path

import pytest
from tiny_models import SMALL_UNET, TINY, pipeline_params

from jaxsd.convert import open_model, write_diffusers, write_single_file
from jaxsd.distilled import PRESETS, preset_named
from jaxsd.settings import Lora, Settings, checked, settings_from, tableau_of

SPEC = TINY["sdxl"]


@pytest.mark.parametrize(
    ("source", "preset", "steps"),
    [
        ("models/sd_xl_turbo_1.0_fp16.safetensors", "turbo", 4),
        ("stabilityai/sdxl-turbo", "turbo", 4),
        ("sd_turbo.safetensors", "turbo", 4),
        ("latent-consistency/lcm-lora-sdv1-5", "lcm", 4),
        ("lcm-lora-sdxl/pytorch_lora_weights.safetensors", "lcm", 4),
        ("LCM_Dreamshaper_v7", "lcm", 4),
        ("tcd-sdxl-lora/pytorch_lora_weights.safetensors", "tcd", 4),
        ("sdxl_lightning_2step_lora.safetensors", "lightning", 2),
        ("sdxl_lightning_8step.safetensors", "lightning", 8),
        ("Hyper-SDXL-1step-lora.safetensors", "hyper-sd-1-step", 1),
        ("Hyper-SD15-4steps-lora.safetensors", "hyper-sd", 4),
        ("Hyper-SD15-12steps-CFG-lora.safetensors", "hyper-sd-cfg", 12),
        ("dmd2_sdxl_4step_lora_fp16.safetensors", "dmd2", 4),
        ("emoji-lcm-2step", "dmd2", 2),
    ],
)
def test_published_names(source: str, preset: str, steps: int) -> None:
    assert preset_named(source) == replace(PRESETS[preset], steps=steps)


@pytest.mark.parametrize(
    "source", ["emoji", "dreamshaperXL_turbo.safetensors", "turbo", "lcm/a.safetensors", "", "."]
)
def test_other_names_tell_nothing(source: str) -> None:
    assert preset_named(source) is None


def test_a_preset_fills_what_is_not_given() -> None:
    one = checked(settings_from({"preset": "lightning"}), SPEC)
    assert (one.sampler, one.steps, one.guidance_scale) == ("euler", 4, 1.0)
    assert one.sampler_options == ("spacing=trailing",)
    assert checked(one, SPEC) == one
    assert tableau_of(one, SPEC).timestep.tolist() == [999, 749, 499, 249]
    given = {"steps": 2, "guidance_scale": 1.5, "sampler_options": "'spacing=leading'"}
    one = checked(settings_from({"preset": "lightning", **given}), SPEC)
    assert (one.steps, one.guidance_scale, one.sampler_options) == (2, 1.5, ("spacing=leading",))
    one = checked(settings_from({"preset": "lightning", "sampler": "lcm"}), SPEC)
    assert (one.sampler, one.sampler_options) == ("lcm", ()), "LCM has no spacing"
    plain = checked(Settings(), SPEC)
    assert (plain.sampler, plain.steps, plain.guidance_scale) == ("ddim", 20, 7.5)


def test_loras_tell_it_unless_they_disagree() -> None:
    lora = Lora("Hyper-SDXL-2steps-lora.safetensors", 0.8)
    one = checked(Settings(lora=(lora, Lora("style.safetensors"))), SPEC)
    assert (one.sampler, one.steps, one.guidance_scale) == ("ddim", 2, 1.0)
    assert checked(Settings(lora=(lora,), preset="none"), SPEC).steps == 20
    several = Settings(lora=(lora, Lora("lcm-lora-sdxl.safetensors")))
    with pytest.raises(ValueError, match=r"lcm-lora-sdxl.* different .*say with --preset which"):
        checked(several, SPEC)
    assert checked(replace(several, preset="lcm"), SPEC).sampler == "lcm"


def test_files_tell_it_by_name_scheduler_and_networks(tmp_path: Path) -> None:
    spec = replace(TINY["sd1"], unet=SMALL_UNET)
    params = pipeline_params(spec)
    file = tmp_path / "sd_turbo.safetensors"
    write_single_file(file, spec, params)
    read = open_model(file).spec
    assert (read.preset, read.default_size) == (PRESETS["turbo"], 512)
    write_single_file(tmp_path / "mine.safetensors", read, params)
    assert open_model(tmp_path / "mine.safetensors").spec.preset == PRESETS["turbo"]
    assert open_model(file.rename(tmp_path / "a.safetensors")).spec.preset == PRESETS["none"]
    text = tuple(replace(one, vocab_size=49408, pad_token=49407) for one in spec.text)
    whole = replace(spec, text=text)
    write_diffusers(tmp_path / "folder", whole, pipeline_params(whole))
    for name in ("model_index.json", "scheduler/scheduler_config.json"):
        path = tmp_path / "folder" / name
        path.write_text(path.read_text().replace("PNDMScheduler", "TCDScheduler"))
    assert open_model(tmp_path / "folder").spec.preset == PRESETS["tcd"]
    lcm = TINY["lcm"]
    write_single_file(tmp_path / "b.safetensors", lcm, pipeline_params(lcm))
    one = checked(Settings(), open_model(tmp_path / "b.safetensors").spec)
    assert (one.sampler, one.steps, one.guidance_scale) == ("lcm", 4, 8.5)
