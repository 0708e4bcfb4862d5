"""Files of motion modules and of their LoRAs, in AnimateDiff's names and in those of diffusers."""

import json
from pathlib import Path

import numpy as np
import pytest
from motion_fakes import FRAMES, motion_tensors, original_name, write_original
from safetensors.numpy import load_file, save_file
from tiny_models import TINY, uniform

from jaxsd.clips import check_clips
from jaxsd.config import MotionConfig, motion_places
from jaxsd.convert.motion import open_motion
from jaxsd.convert.motion_lora import with_loras
from jaxsd.families import SD1, SDXL, motion_schedule
from jaxsd.settings import Lora, Settings, calls_of

UNET = TINY["sd1"].unet


def folder_of(path: Path, **settings: object) -> Path:
    """diffusers' folder of a MotionAdapter."""
    path.mkdir()
    made = motion_tensors(UNET)
    for name in [name for name in made if name.endswith("attn1.to_q.weight")]:
        table = np.zeros((1, FRAMES, made[name].shape[1]), np.float32)
        made[name.replace("attn1.to_q.weight", "pos_embed.pe")] = table
    save_file(made, path / "diffusion_pytorch_model.safetensors")
    told = {"_class_name": "MotionAdapter", "motion_num_attention_heads": 4} | settings
    (path / "config.json").write_text(json.dumps(told))
    return path


def test_both_names_hold_the_same(tmp_path: Path) -> None:
    one = open_motion(write_original(tmp_path / "mm.safetensors", UNET), UNET, "sd1")
    other = open_motion(folder_of(tmp_path / "adapter"), UNET, "sd1")
    assert one.config == MotionConfig(FRAMES, 8, 1, UNET.norm_groups)
    assert other.config.heads == 4
    assert one.tensors.keys() == other.tensors.keys()
    for path, tensor in one.tensors.items():
        np.testing.assert_array_equal(tensor.read(), other.tensors[path].read())


def test_places_are_those_of_the_published_modules() -> None:
    """20 and the middle for SD 1 (21 in v2, 20 in v1 and v3), 15 for XL's beta."""
    names = [place.name for place in motion_places(SD1.unet)]
    assert len(names) == 21
    assert names[-1] == "mid_block/motion_modules_0"
    assert "up_blocks_3/motion_modules_2" in names
    assert len(list(motion_places(SDXL.unet))) == 16
    after = {place.name: place.after for place in motion_places(SD1.unet)}
    assert after["down_blocks_3/motion_modules_1"] == "down_blocks_3/resnets_1"
    assert after["up_blocks_1/motion_modules_0"] == "up_blocks_1/attentions_0"


def test_without_a_middle(tmp_path: Path) -> None:
    path = write_original(tmp_path / "v3.safetensors", UNET, middle=False)
    assert not any(name.startswith("mid") for name in open_motion(path, UNET, "sd1").tensors)


def test_noise_is_that_of_the_training() -> None:
    own, xl = motion_schedule(SD1), motion_schedule(SDXL)
    assert (own.beta_schedule, own.beta_end) == ("linear", 0.012)
    assert (xl.beta_schedule, xl.beta_end) == ("scaled_linear", 0.02)


@pytest.mark.parametrize("form", ["{}.processor.{}_lora.{}.weight", "unet.{}.{}.lora_{}.weight"])
def test_a_lora_is_added_with_its_weight(form: str, tmp_path: Path) -> None:
    path = write_original(tmp_path / "mm.safetensors", UNET)
    tensors = open_motion(path, UNET, "sd1").tensors
    module, rank = "down_blocks.0.motion_modules.1.transformer_blocks.0.attn2", 2
    down, up = uniform("down", (rank, 32)), uniform("up", (32, rank))
    names = ("A", "B") if "lora_{}" in form else ("down", "up")
    kernel = "to_out" if form.startswith("{}") else "to_out.0"
    keys = [form.format(module, kernel, name) for name in names]
    if form.startswith("{}"):
        keys = [original_name(key) for key in keys]
    save_file(dict(zip(keys, (down, up), strict=True)), tmp_path / "zoom.safetensors")
    moved = with_loras(tensors, [(tmp_path / "zoom.safetensors", 0.5)])
    changed = {name for name in tensors if (moved[name].read() != tensors[name].read()).any()}
    [name] = changed
    assert name.endswith("motion_modules_1/transformer_blocks_0/attn2/to_out_0/kernel")
    want = tensors[name].read() + 0.5 * (up @ down).T
    np.testing.assert_allclose(moved[name].read(), want, rtol=1e-5)


def test_wrong_files_are_one_line(tmp_path: Path) -> None:
    path = write_original(tmp_path / "mm.safetensors", UNET)
    made = load_file(path)
    few = {name: t for name, t in made.items() if not name.endswith("ff_norm.bias")}
    save_file(few, tmp_path / "few.safetensors")
    flat = {name: t[0, 0] if name.endswith(".pe") else t for name, t in made.items()}
    save_file(flat, tmp_path / "flat.safetensors")
    save_file({"lora_unet_x.lora_down.weight": np.zeros((2, 2), np.float32)}, tmp_path / "lora.pt")
    for name, says in (
        ("few.safetensors", "few.safetensors cannot be read as motion modules: it does not fit"),
        ("flat.safetensors", r"motion modules: .*pos_encoder\.pe is missing or of the wrong shape"),
        ("lora.pt", "lora.pt is a LoRA, and not AnimateDiff's motion modules"),
    ):
        with pytest.raises(ValueError, match=says) as error:
            open_motion(tmp_path / name, UNET, "sd1")
        assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match=r"has motion modules for another U-Net .*model is sdxl"):
        open_motion(path, TINY["sdxl"].unet, "sdxl")
    with pytest.raises(ValueError, match="conv_in_channels = 9 is not supported"):
        open_motion(folder_of(tmp_path / "pia", conv_in_channels=9), UNET, "sd1")
    with pytest.raises(ValueError, match=r"_class_name = 'x\\x1b' is not one of MotionAdapter"):
        open_motion(folder_of(tmp_path / "x", _class_name="x\x1b"), UNET, "sd1")
    kernel = "down_blocks.0.motion_modules.0.transformer_blocks.0.attn1.to_q"
    save_file({f"{kernel}.lora_A.weight": np.array(1, np.float32)}, tmp_path / "l.safetensors")
    with pytest.raises(ValueError, match="is a LoRA of other motion modules: down_blocks_0"):
        with_loras({}, [(tmp_path / "l.safetensors", 1.0)])
    with pytest.raises(ValueError, match=r"mm.safetensors is no LoRA of motion modules: it has"):
        with_loras({}, [(path, 1.0)])
    told = Settings(motion=str(path), motion_context=(32, 4))
    with pytest.raises(ValueError, match=r"motion_context 32 is out of range; .* 24 frames at"):
        check_clips([told], TINY["sd1"])
    with pytest.raises(ValueError, match="motion makes frames of a clip, and these are pictures"):
        calls_of([told], TINY["sd1"], [], 8)
    with pytest.raises(FileNotFoundError, match="motion: there is no file or folder 'no'"):
        check_clips([Settings(motion="no"), Settings(motion_lora=(Lora("a"),))], TINY["sd1"])
