"""What is wrong with a source, in one line each, from the programs too."""

import json

import numpy as np
import pytest
from convert_fakes import assert_same, random_model
from real_files import EMBEDDING, LORA, larger
from test_round_trip import FAMILIES, rewrite, write_folder

from jaxsd import convert
from jaxsd.cli import convert as convert_command
from jaxsd.cli import info as info_command
from jaxsd.convert.files.safetensors_file import read_safetensors, write_safetensors
from jaxsd.convert.files.tensors import in_memory

SD1 = FAMILIES["sd1"]
LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:6ce0161689b3853a\nsize 4265146304\n"


@pytest.fixture(scope="session")
def source(tmp_path_factory):
    """A whole model of family sd1 as a folder and as a single file."""
    place = tmp_path_factory.mktemp("source")
    params = random_model(SD1)
    write_folder(place / "model", SD1, params)
    convert.write_single_file(place / "model.safetensors", SD1, params)
    return place


@pytest.fixture
def model(source, tmp_path):
    """A copy of it to damage; weights are links."""
    for path in source.rglob("*"):
        place = tmp_path / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file():
            place.write_bytes(path.read_bytes())
    return tmp_path


def complaint(source, **options):
    with pytest.raises((ValueError, OSError)) as caught:
        convert.read(source, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


def change(path, **settings):
    """Changes settings of a JSON file; `None` removes one."""
    table = json.loads(path.read_text()) | settings
    path.write_text(json.dumps({key: value for key, value in table.items() if value != "absent"}))


@pytest.mark.parametrize(
    "name", ["model.safetensors", "model/unet/diffusion_pytorch_model.safetensors"]
)
def test_git_lfs_pointer(model, name):
    (model / name).write_text(LFS)
    message = complaint(model / "model" if "unet" in name else model / name)
    assert "is a git-lfs pointer, not the file itself; fetch it with `git lfs pull`" in message


@pytest.mark.parametrize(
    "name", ["model.safetensors", "model/unet/diffusion_pytorch_model.safetensors"]
)
def test_truncated(model, name):
    path = model / name
    path.write_bytes(path.read_bytes()[:-100])
    message = complaint(model / "model" if "unet" in name else path)
    assert f"{path} is truncated or damaged" in message


@pytest.mark.parametrize("content", [b"", b"<!DOCTYPE html><html>", b"\x89PNG\r\n", b"hello" * 99])
@pytest.mark.parametrize("suffix", ["ckpt", "safetensors"])
def test_no_weights_at_all(tmp_path, content, suffix):
    (tmp_path / f"x.{suffix}").write_bytes(content)
    message = complaint(tmp_path / f"x.{suffix}")
    assert "holds no weights" in message or "is not a" in message


def test_missing_parts(model):
    (model / "model/unet/diffusion_pytorch_model.safetensors").unlink()
    assert complaint(model / "model").endswith(
        "unet has no weights; expected a .safetensors, .bin or .msgpack file"
    )
    (model / "model/unet/config.json").unlink()
    assert "unet has no config.json" in complaint(model / "model")
    (model / "model/model_index.json").unlink()
    assert "model has no model_index.json" in complaint(model / "model")
    assert "no such file or folder" in complaint(model / "nowhere.safetensors")


def test_no_tokenizer(model):
    for path in (model / "model/tokenizer").iterdir():
        path.unlink()
    assert "no tokenizer in" in complaint(model / "model")
    with pytest.raises(ValueError, match="no tokenizer: the text encoder has 514 tokens"):
        _ = convert.open_model(model / "model.safetensors").tokenizers
    with pytest.raises(ValueError, match="no tokenizer: the text encoder has 514 tokens"):
        convert.write_diffusers(model / "b", SD1, random_model(SD1))
    assert not (model / "b").exists()


def test_wrong_tensors(model):
    path = model / "model/vae/diffusion_pytorch_model.safetensors"

    def spoil(tensors):
        some = tensors.pop("quant_conv.bias")
        return tensors | {"decoder.conv_in.bias": some, "surprise": some}

    rewrite(path, spoil)
    assert complaint(model / "model") == (
        f"{model}/model/vae does not fit: 1 missing: quant_conv.bias; 1 unused: surprise; "
        "1 misshapen: decoder.conv_in.bias [8] instead of [32]"
    )


UNET = "unet/config.json"
VAE = "vae/config.json"
TEXT = "text_encoder/config.json"
SCHEDULER = "scheduler/scheduler_config.json"


@pytest.mark.parametrize(
    ("file", "settings"),
    [
        ("model_index.json", {"_class_name": "FluxPipeline"}),
        ("model_index.json", {"_class_name": "StableDiffusion3Pipeline"}),
        ("model_index.json", {"_class_name": "StableDiffusionGLIGENPipeline"}),
        ("model_index.json", {"text_encoder": [None, None]}),
        ("model_index.json", {"text_encoder": ["transformers", "T5EncoderModel"]}),
        ("model_index.json", {"unet": ["diffusers", "UNet3DConditionModel"]}),
        ("model_index.json", {"vae": ["diffusers", "AutoencoderKLTemporalDecoder"]}),
        (UNET, {"act_fn": "gelu"}),
        (UNET, {"addition_embed_type": "image"}),
        (UNET, {"addition_embed_type": "text_time"}),
        (UNET, {"attention_head_dim": [4, 4, 4]}),
        (UNET, {"block_out_channels": "32"}),
        (UNET, {"block_out_channels": [32, -64]}),
        (UNET, {"class_embed_type": "projection"}),
        (UNET, {"conv_in_kernel": 1}),
        (UNET, {"down_block_types": ["SimpleCrossAttnDownBlock2D", "DownBlock2D"]}),
        (UNET, {"up_block_types": ["CrossAttnUpBlock2D", "UpBlock2D"]}),
        (UNET, {"encoder_hid_dim_type": "text_proj"}),
        (UNET, {"in_channels": True}),
        (UNET, {"mid_block_type": None}),
        (UNET, {"norm_eps": 1e-6}),
        (UNET, {"norm_num_groups": None}),
        (UNET, {"resnet_time_scale_shift": "scale_shift"}),
        (UNET, {"time_cond_proj_dim": 2.5}),
        (UNET, {"transformer_layers_per_block": [[1, 2], 1]}),
        (UNET, {"a_setting_of_tomorrow": 3}),
        (VAE, {"act_fn": "relu"}),
        (VAE, {"down_block_types": ["AttnDownEncoderBlock2D"] * 4}),
        (VAE, {"latents_mean": [0.0] * 4}),
        (VAE, {"out_channels": 4}),
        (VAE, {"shift_factor": 0.1}),
        (VAE, {"use_quant_conv": False}),
        (TEXT, {"hidden_act": "relu"}),
        (TEXT, {"layer_norm_eps": 1e-6}),
        (TEXT, {"model_type": "t5"}),
        (UNET, {"attention_head_dim": 7}),
        (UNET, {"attention_head_dim": 10**9}),
        (UNET, {"block_out_channels": [2**70, 64]}),
        (UNET, {"block_out_channels": [36, 64]}),
        (UNET, {"down_block_types": None}),
        (UNET, {"layers_per_block": 10**9}),
        (UNET, {"norm_num_groups": 10**300}),
        (UNET, {"sample_size": {}}),
        (UNET, {"sample_size": 0}),
        (UNET, {"sample_size": [64, 2**70]}),
        (UNET, {"sample_size": "64"}),
        (UNET, {"transformer_layers_per_block": 10**9}),
        (UNET, {"use_linear_projection": "no"}),
        ("model_index.json", {"force_zeros_for_empty_prompt": "no"}),
        (VAE, {"block_out_channels": [12, 16, 32, 32]}),
        (VAE, {"norm_num_groups": 5}),
        (VAE, {"scaling_factor": float("inf")}),
        (VAE, {"scaling_factor": 10**399}),
        (VAE, {"scaling_factor": [1]}),
        (VAE, {"scaling_factor": 0}),
        (TEXT, {"hidden_size": "wide"}),
        (TEXT, {"num_attention_heads": 7}),
        (TEXT, {"num_hidden_layers": 10**9}),
        (SCHEDULER, {"prediction_type": "flow"}),
        (SCHEDULER, {"beta_schedule": "sigmoid"}),
        (SCHEDULER, {"timestep_spacing": "random"}),
        (SCHEDULER, {"trained_betas": [0.1, 0.2]}),
        (SCHEDULER, {"sigma_max": 120.0}),
        (SCHEDULER, {"_class_name": "IPNDMScheduler"}),
        ("model_index.json", {"scheduler": ["diffusers", "IPNDMScheduler"]}),
        (VAE, {"force_upcast": "yes"}),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else value.split("/")[0],
)
def test_settings_that_are_not_supported_are_named(model, file, settings):
    change(model / "model" / file, **settings)
    message = complaint(model / "model")
    name, value = next(iter(settings.items()))
    assert name in message or str(value) in message


@pytest.mark.parametrize(
    ("file", "settings", "said"),
    [
        (UNET, {"attention_head_dim": 7}, " = 7 does not divide block_out_channels = 32"),
        (VAE, {"latent_channels": 2**40}, f" = {2**40} is not 1 to 65536"),
        (TEXT, {"intermediate_size": 2**40}, f" = {2**40} is not 1 to 65536"),
        (
            "model_index.json",
            {"_class_name": "X"},
            " = 'X' is not one of StableDiffusionPipeline, ",
        ),
    ],
)
def test_the_key_of_a_number_is_that_of_the_file(model, file, settings, said):
    change(model / "model" / file, **settings)
    wanted = f"{model}/model/{file}: {next(iter(settings))}{said}"
    assert complaint(model / "model").startswith(wanted)


@pytest.mark.parametrize("file", [UNET, VAE, TEXT, SCHEDULER, "model_index.json"])
@pytest.mark.parametrize("text", ["[" * 200_000, '{"a":' * 200_000, "[]", "\x00", '{"a":1,"a":2}'])
def test_json_that_is_no_table(model, file, text):
    (model / "model" / file).write_text(text)
    assert complaint(model / "model").startswith(f"{model}/model/{file} ")


def test_a_byte_order_mark_is_no_matter(model):
    path = model / "model" / UNET
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert convert.read(model / "model")[0] == SD1


def test_what_ema_model_writes_is_no_matter(model):
    """diffusers' `EMAModel.save_pretrained`."""
    told = {"decay": 0.9999, "inv_gamma": 1.0, "min_decay": 0.0, "optimization_step": 10}
    told |= {"power": 0.67, "update_after_step": 0, "use_ema_warmup": False}
    change(model / "model" / UNET, **told)
    assert convert.read(model / "model")[0] == SD1


def test_the_offset_of_timesteps_is_that_of_stable_diffusion(model):
    """As in diffusers, whose SD 1 and 2 pipelines set it, and whose LCM pipelines do not."""
    place, index = model / "model" / SCHEDULER, model / "model/model_index.json"
    change(place, steps_offset="absent")
    assert convert.open_model(model / "model").spec.schedule.steps_offset == 1
    change(place, steps_offset=0)
    with pytest.warns(UserWarning, match="steps_offset = 0 is read as 1, as diffusers does"):
        assert convert.open_model(model / "model").spec.schedule.steps_offset == 1
    change(index, _class_name="LatentConsistencyModelPipeline")
    assert convert.open_model(model / "model").spec.schedule.steps_offset == 0


def test_sizes_that_early_releases_wrote_are_too_small(model):
    change(model / "model" / UNET, _diffusers_version="0.6.0.dev0", sample_size=32)
    with pytest.warns(UserWarning, match="sample_size = 32 is read as 64"):
        early = convert.open_model(model / "model").spec.default_size
    change(model / "model" / UNET, _diffusers_version="0.10.2")
    assert early == 2 * convert.open_model(model / "model").spec.default_size


@pytest.mark.parametrize("name", ["scale_weight", "weight_scale"])
def test_scaled_weights_are_refused_whatever_is_asked(model, name):
    """ComfyUI's files of 8 bits: without the scales they would be noise."""
    name = f"model.diffusion_model.out.2.{name}"
    some = in_memory(np.ones((), np.float32))
    rewrite(model / "model.safetensors", lambda tensors: tensors | {name: some})
    for strict in (True, False):
        message = complaint(model / "model.safetensors", strict=strict)
        assert f"has weights with scales ({name}), which are not read" in message


def test_spec_in_metadata_is_checked(model):
    tensors, facts = read_safetensors(model / "model.safetensors")
    path = model / "changed.safetensors"
    for old, new in (
        ('"heads":4', '"heads":7'),
        ('"resnets":2', '"resnets":1000000000'),
        ('"family":', '"family":' + "[" * 100_000),
        ('"scaling_factor":0.18215', '"scaling_factor":1e999'),
        ('"single_file":"v1"', '"single_file":"xl"'),
    ):
        assert old in facts["jaxsd.spec"]
        write_safetensors(path, tensors, {"jaxsd.spec": facts["jaxsd.spec"].replace(old, new)})
        assert "jaxsd.spec" in complaint(path)


STRAYS = ("scale_factor", "control_model.x", "safety_checker.x", "lora_te_x.alpha", "foo.bar")


def test_tensors_of_other_parts_are_listed(model):
    path = model / "model.safetensors"
    rewrite(path, lambda tensors: tensors | dict.fromkeys(STRAYS, next(iter(tensors.values()))))
    with pytest.warns(UserWarning, match="5 tensors are not used: control_model.x, foo.bar"):
        assert convert.read(path)[0] == SD1


@pytest.mark.parametrize(
    ("opened", "file", "name"),
    [
        ("model.safetensors", "model.safetensors", "model.diffusion_model.surprise"),
        ("model", "model/vae/diffusion_pytorch_model.safetensors", "surprise"),
    ],
)
def test_unknown_tensors_of_a_part_can_be_allowed(model, opened, file, name):
    rewrite(model / file, lambda tensors: tensors | {name: next(iter(tensors.values()))})
    message = complaint(model / opened)
    assert message.endswith(
        f"1 unused: {name}; to read it without them, set strict to false (--no-strict)"
    )
    with pytest.warns(UserWarning, match=f"{opened}.*: 1 tensors are not used: {name}"):
        assert convert.read(model / opened, strict=False)[0] == SD1


WHOLE_CLIP = (
    "logit_scale",
    "text_projection.weight",
    "vision_model.embeddings.class_embedding",
    "visual_projection.weight",
)


def test_a_whole_clip_as_text_encoder(model):
    """Files of transformers' `CLIPModel`, and single files that were made from them."""
    before = convert.read(model / "model")[1]["text"][0]
    some = {"x": np.ones(2, np.float32)}

    def add(prefix):
        more = {prefix + name: in_memory(some["x"]) for name in WHOLE_CLIP}
        return lambda tensors: tensors | more

    rewrite(model / "model/text_encoder/model.safetensors", add(""))
    settings = json.loads((model / "model" / TEXT).read_text())
    whole = {"model_type": "clip", "text_config": settings, "vision_config": {}}
    (model / "model" / TEXT).write_text(json.dumps(whole))
    rewrite(model / "model.safetensors", add("cond_stage_model.transformer."))
    for source in ("model", "model.safetensors"):
        spec, params = convert.read(model / source)
        assert spec == SD1
        assert_same(params["text"][0], before)


def test_parts_that_do_not_fit_together(model):
    change(model / "model" / UNET, cross_attention_dim=40)
    rewrite(
        model / "model/unet/diffusion_pytorch_model.safetensors",
        lambda tensors: {
            name: in_memory(np.ones((tensor.shape[0], 40), np.float32))
            if name.endswith(("attn2.to_k.weight", "attn2.to_v.weight"))
            else tensor
            for name, tensor in tensors.items()
        },
    )
    assert complaint(model / "model") == (
        f"{model}/model: its U-Net's context is 40 wide, and its text 32"
    )


def test_only_xl_looks_at_force_upcast(model):
    """As in diffusers, whose other pipelines decode in the dtype that they have."""
    change(model / "model" / VAE, force_upcast=True)
    assert not convert.open_model(model / "model").spec.vae.force_upcast


def test_a_setting_that_is_off_is_no_matter(model):
    change(model / "model" / UNET, a_setting_of_tomorrow=None, another=False, _private=3)
    assert convert.read(model / "model")[0] == SD1


def test_config_that_is_not_json(model):
    (model / "model" / UNET).write_text("{")
    assert "unet/config.json is not JSON" in complaint(model / "model")


def test_predictions(source):
    assert complaint(source / "model", prediction="noise") == (
        "prediction 'noise' is not one of epsilon, v, sample"
    )
    for name in ("model", "model.safetensors"):
        assert convert.read(source / name, prediction="v")[0].prediction == "v"


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        (LORA, "a LoRA"),
        (EMBEDDING, "a textual-inversion embedding"),
        ("taesd/taef2_decoder.pth", "a tiny autoencoder"),
    ],
)
def test_real_files_of_other_kinds(file, kind, capsys):
    path = larger(file) if isinstance(file, str) else file
    assert kind in complaint(path)
    run(info_command, str(path))
    assert kind in capsys.readouterr().out


def run(command, *argv):
    """Runs a command of `jaxsd` in this process."""
    import argparse

    parser = argparse.ArgumentParser()
    command.configure(parser)
    command.main(parser.parse_args(argv))


def test_convert_and_info(source, tmp_path, capsys):
    run(convert_command, str(source / "model"), str(tmp_path / "a.safetensors"))
    run(convert_command, str(tmp_path / "a.safetensors"), str(tmp_path / "b.safetensors"))
    first, second = (tmp_path / f"{name}.safetensors" for name in "ab")
    assert first.read_bytes() == second.read_bytes()
    run(convert_command, str(source / "model"), str(tmp_path / "c"), "--dtype", "float16")
    capsys.readouterr()
    run(info_command, str(tmp_path / "c"))
    told = capsys.readouterr().out
    for words in ("custom", "epsilon", "diffusers folder", "PNDMScheduler", "float16", "U-Net"):
        assert words in told


def test_nothing_is_overwritten_unasked(source, tmp_path):
    for name in ("a.safetensors", "a"):
        place = tmp_path / name
        run(convert_command, str(source / "model"), str(place))
        with pytest.raises(FileExistsError, match="overwrite it with --force"):
            run(convert_command, str(source / "model"), str(place))
        run(convert_command, str(source / "model"), str(place), "--force")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/me.png").touch()
    with pytest.raises(FileExistsError, match="is not a model"):
        run(convert_command, str(source / "model"), str(tmp_path / "photos"), "--force")
    assert (tmp_path / "photos/me.png").exists()
    with pytest.raises(ValueError, match="pickles are read but not written"):
        run(convert_command, str(source / "model"), str(tmp_path / "a.ckpt"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "a.safetensors", "photos"]


def test_a_failed_conversion_leaves_nothing(model, tmp_path):
    rewrite(
        model / "model.safetensors",
        lambda tensors: (
            tensors
            | {
                name: tensors[name].transformed((32,), lambda array: array + 1e6)
                for name in ["model.diffusion_model.input_blocks.0.0.bias"]
            }
        ),
    )
    before = sorted(path.name for path in tmp_path.iterdir())
    for name in ("b.safetensors", "b"):
        with pytest.raises(ValueError, match=r"float16 cannot hold|no tokenizer"):
            run(
                convert_command,
                str(model / "model.safetensors"),
                str(tmp_path / name),
                "--dtype=float16",
            )
    assert sorted(path.name for path in tmp_path.iterdir()) == before
