"""Whole CLIPs out of transformers' folders, and what is refused."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from clip_fakes import TEXT, VISION, clip_settings, random_params, tiny_clip
from convert_fakes import assert_same

from jaxsd.convert.clip import clip_configs, read_clip


def test_a_folder_or_a_file_in_it(tmp_path: Path) -> None:
    folder = tiny_clip(tmp_path / "clip")
    for source in (folder, folder / "model.safetensors"):
        found = read_clip(source)
        assert (replace(found.text, pad_token=TEXT.pad_token), found.vision) == (TEXT, VISION)
        assert_same(found.params, random_params())
        assert found.tokenizer(["a"]).shape == (1, 16)


def test_early_files_have_their_settings_twice() -> None:
    settings = clip_settings()
    settings["vision_config_dict"] = {"patch_size": 16}
    settings["text_config_dict"] = None
    assert clip_configs(settings, "config.json")[1].patch_size == 16


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "siglip"}, "model_type = 'siglip' is not 'clip'"),
        ({"projection_dim": 0}, "projection_dim = 0 should be a positive whole number"),
        ({"vision_config": {"hidden_act": "relu"}}, "vision_config: hidden_act = 'relu'"),
        ({"vision_config": {"num_channels": 1}}, "num_channels = 1 is not supported, only 3"),
        ({"text_config": {"layer_norm_eps": 1e-6}}, "text_config: layer_norm_eps = 1e-06"),
    ],
)
def test_settings_that_no_network_here_has(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        clip_configs(clip_settings() | change, "config.json")


def test_what_is_missing_or_does_not_fit_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no CLIP at"):
        read_clip(tmp_path / "absent")
    folder = tiny_clip(tmp_path / "clip")
    settings = clip_settings()
    settings["vision_config"]["num_hidden_layers"] = 1
    (folder / "config.json").write_text(json.dumps(settings))
    with pytest.raises(ValueError, match=r"\(vision\) does not fit: 16 unused: vision_model"):
        read_clip(folder)
    (folder / "config.json").write_text(json.dumps(clip_settings()))
    (folder / "vocab.json").unlink()
    with pytest.raises(ValueError, match="no tokenizer, and its 614 words"):
        read_clip(folder)


def test_other_preprocessing_is_refused(tmp_path: Path) -> None:
    folder = tiny_clip(tmp_path / "clip")
    (folder / "preprocessor_config.json").write_text('{"image_mean": [0.5, 0.5, 0.5]}')
    with pytest.raises(ValueError, match=r"image_mean = \[0.5, 0.5, 0.5\] is not supported"):
        read_clip(folder)
