"""Every family through both layouts, bit by bit."""

import json
from dataclasses import replace

import jax
import ml_dtypes
import numpy as np
import pytest
from convert_fakes import assert_same, random_model
from safetensors.numpy import load_file
from tiny_models import TINY

from jaxsd import convert
from jaxsd.config import ModelSpec
from jaxsd.convert.conversion import open_conversion
from jaxsd.convert.files.safetensors_file import read_safetensors, write_safetensors
from jaxsd.convert.files.tensors import ALIGNMENT, dtype_named
from jaxsd.text import Tokenizer, vocabulary_of

VOCABULARY = vocabulary_of([])
FAMILIES = {
    name: replace(
        spec,
        family="custom",
        text=tuple(
            replace(
                text,
                vocab_size=len(VOCABULARY.ids),
                pad_token=text.pad_token and len(VOCABULARY.ids) - 1,
            )
            for text in spec.text
        ),
    )
    for name, spec in TINY.items()
}
families = pytest.mark.parametrize("spec", FAMILIES.values(), ids=FAMILIES)


def tokenizers_of(spec: ModelSpec) -> list[Tokenizer]:
    return [Tokenizer(VOCABULARY, text.max_length, text.pad_token) for text in spec.text]


def write_folder(folder, spec, params):
    convert.write_diffusers(folder, spec, params, tokenizers=tokenizers_of(spec))


@families
def test_diffusers_folder(tmp_path, spec):
    params = random_model(spec)
    write_folder(tmp_path / "model", spec, params)
    got, tree = convert.read(tmp_path / "model")
    assert got == spec
    assert_same(tree, params)
    write_folder(tmp_path / "again", got, tree)
    for path in (tmp_path / "model").rglob("*.*"):
        again = tmp_path / "again" / path.relative_to(tmp_path / "model")
        assert path.read_bytes() == again.read_bytes()


@families
def test_single_file(tmp_path, spec):
    params = random_model(spec)
    convert.write_single_file(tmp_path / "model.safetensors", spec, params)
    got, tree = convert.read(tmp_path / "model.safetensors")
    assert got == spec
    assert_same(tree, params)
    convert.write_single_file(tmp_path / "again.safetensors", got, tree)
    first, again = (tmp_path / f"{name}.safetensors" for name in ("model", "again"))
    assert first.read_bytes() == again.read_bytes()


@pytest.mark.parametrize("family", ["sd1", "sd2", "sdxl"])
def test_from_one_layout_to_the_other_and_back(tmp_path, family):
    spec = FAMILIES[family]
    write_folder(tmp_path / "model", spec, random_model(spec))
    single = tmp_path / "model.safetensors"
    open_conversion(str(tmp_path / "model"), str(single)).run(lambda count: None)
    got, params = convert.read(single)
    write_folder(tmp_path / "back", got, params)
    for path in (tmp_path / "model").rglob("*.safetensors"):
        back = tmp_path / "back" / path.relative_to(tmp_path / "model")
        assert path.read_bytes() == back.read_bytes()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_dtype_is_kept_when_converting(tmp_path, dtype):
    spec = FAMILIES["sd1"]
    params = random_model(spec, dtype=np.dtype(getattr(ml_dtypes, dtype, dtype)))
    write_folder(tmp_path / "model", spec, params)
    conversion = open_conversion(str(tmp_path / "model"), str(tmp_path / "a.safetensors"))
    conversion.run(lambda count: None)
    tensors, _ = read_safetensors(tmp_path / "a.safetensors")
    assert {tensor.dtype.name for tensor in tensors.values()} == {dtype, "int64"}
    assert_same(convert.read(tmp_path / "a.safetensors", dtype=None)[1], params)


def test_dtype_is_changed_on_request(tmp_path):
    spec = FAMILIES["sd1"]
    params = random_model(spec)
    write_folder(tmp_path / "model", spec, params)
    kernel = params["unet"]["conv_in"]["kernel"]
    for dtype in (np.float32, np.float16, ml_dtypes.bfloat16):
        _, got = convert.read(tmp_path / "model", dtype=np.dtype(dtype).name)
        np.testing.assert_array_equal(got["unet"]["conv_in"]["kernel"], kernel.astype(dtype))
    with pytest.raises(ValueError, match="dtype 'int8' is not one of float32, float16, bfloat16"):
        convert.read(tmp_path / "model", dtype="int8")


def test_the_names_of_a_folder(tmp_path):
    spec = FAMILIES["sd1"]
    write_folder(tmp_path / "model", spec, random_model(spec))
    unet = load_file(tmp_path / "model/unet/diffusion_pytorch_model.safetensors")
    assert unet["conv_in.weight"].shape == (32, 4, 3, 3)
    assert unet["down_blocks.0.attentions.1.proj_in.weight"].shape == (32, 32, 1, 1)
    name = "mid_block.attentions.0.transformer_blocks.0.attn2.to_out.0.weight"
    assert unet[name].shape == (64, 64)
    vae = load_file(tmp_path / "model/vae/diffusion_pytorch_model.safetensors")
    assert vae["encoder.mid_block.attentions.0.to_q.weight"].shape == (32, 32)
    text = load_file(tmp_path / "model/text_encoder/model.safetensors")
    assert "text_model.encoder.layers.2.self_attn.q_proj.weight" in text
    assert not any("position_ids" in name for name in text)


def test_position_ids_are_made_again(tmp_path):
    spec = FAMILIES["sd1"]
    convert.write_single_file(tmp_path / "a.safetensors", spec, random_model(spec))
    name = "cond_stage_model.transformer.text_model.embeddings.position_ids"
    ids = load_file(tmp_path / "a.safetensors")[name]
    assert ids.dtype == np.int64
    np.testing.assert_array_equal(ids, np.arange(77)[None])


def rewrite(path, change):
    """Replaces the tensors of a file by what `change` makes of them; keeps the metadata."""
    tensors, metadata = read_safetensors(path)
    write_safetensors(path, change(tensors), metadata)


def test_old_names_of_a_folder(tmp_path):
    """SD 1.x on the hub has query, key, value, proj_attn, 4-D; and position ids in the encoder."""
    spec = FAMILIES["sd1"]
    params = random_model(spec)
    write_folder(tmp_path / "model", spec, params)
    words = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}

    def old_vae(tensors):
        named = {}
        for name, tensor in tensors.items():
            for new, old in words.items():
                name = name.replace(f"attentions.0.{new}.", f"attentions.0.{old}.")
            if name.endswith(".query.weight"):
                shape = (*tensor.shape, 1)
                tensor = tensor.transformed(shape, lambda array: array[..., None])
            named[name] = tensor
        return named

    def old_text(tensors):
        named = {name.removeprefix("text_model."): tensor for name, tensor in tensors.items()}
        ids = next(iter(tensors.values())).transformed(
            (1, 77), lambda _: np.zeros((1, 77), np.float32)
        )
        return named | {"embeddings.position_ids": ids}

    rewrite(tmp_path / "model/vae/diffusion_pytorch_model.safetensors", old_vae)
    rewrite(tmp_path / "model/text_encoder/model.safetensors", old_text)
    assert_same(convert.read(tmp_path / "model")[1], params)


def test_other_names_of_a_single_file(tmp_path):
    spec = FAMILIES["sdxl"]
    params = random_model(spec)
    path = tmp_path / "a.safetensors"
    convert.write_single_file(path, spec, params)

    def renamed(tensors):
        named = {}
        for name, tensor in tensors.items():
            name = name.replace("first_stage_model.", "vae.")
            name = name.replace(".transformer.text_model.", ".transformer.")
            name = name.replace("attn1.to_out.0.", "attn1.to_out.")
            if name.endswith("text_projection"):
                name += ".weight"
                tensor = tensor.transformed(tensor.shape[::-1], np.transpose)
            named[name] = tensor
        extra = tensors["model.diffusion_model.out.0.bias"]
        left_behind = (
            "alphas_cumprod",
            "betas",
            "sqrt_recip_alphas_cumprod",
            "first_stage_model.loss.logvar",
            "denoiser.sigmas",
            "conditioner.embedders.0.logit_scale",
            "conditioner.embedders.1.model.logit_scale",
            "conditioner.embedders.1.model.attn_mask",
        )
        return named | dict.fromkeys(left_behind, extra)

    rewrite(path, renamed)
    assert_same(convert.read(path)[1], params)


def test_shards_and_variants(tmp_path):
    spec = FAMILIES["sd1"]
    params = random_model(spec)
    write_folder(tmp_path / "model", spec, params)
    unet = tmp_path / "model/unet"
    whole = unet / "diffusion_pytorch_model.safetensors"
    tensors, _ = read_safetensors(whole)
    names = sorted(tensors)
    weight_map = {}
    for part in (0, 1):
        file = f"diffusion_pytorch_model-0000{part + 1}-of-00002.safetensors"
        chosen = {name: tensors[name] for name in names[part::2]}
        write_safetensors(unet / file, chosen, {})
        weight_map |= dict.fromkeys(chosen, file)
    whole.unlink()
    index = unet / "diffusion_pytorch_model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    vae = tmp_path / "model/vae/diffusion_pytorch_model.safetensors"
    vae.rename(vae.with_name("diffusion_pytorch_model.fp16.safetensors"))
    assert_same(convert.read(tmp_path / "model")[1], params)
    index.write_text(json.dumps({"weight_map": {"conv_in.weight": "../secret.safetensors"}}))
    with pytest.raises(
        ValueError, match=r"names '\.\./secret\.safetensors', which is not beside it"
    ):
        convert.read(tmp_path / "model")


def test_full_precision_is_preferred(tmp_path):
    spec = FAMILIES["sd1"]
    params = random_model(spec)
    write_folder(tmp_path / "model", spec, params)
    write_folder(tmp_path / "half", spec, random_model(spec, dtype="float16", seed=1))
    half = tmp_path / "half/unet/diffusion_pytorch_model.safetensors"
    half.rename(tmp_path / "model/unet/diffusion_pytorch_model.fp16.safetensors")
    assert_same(convert.read(tmp_path / "model")[1], params)


def averaged_name(name):
    return "model_ema." + name.removeprefix("model.").replace(".", "")


def with_average(path, spec, last, average):
    """A single file with both sets of U-Net weights, as v1-5-pruned has them."""
    convert.write_single_file(path, spec, last)
    convert.write_single_file(path.with_name("b.safetensors"), spec, average)
    other = read_safetensors(path.with_name("b.safetensors"))[0]
    rewrite(
        path,
        lambda tensors: (
            tensors
            | {
                averaged_name(name): tensor
                for name, tensor in other.items()
                if name.startswith("model.diffusion_model.")
            }
            | {"model_ema.decay": other["model.diffusion_model.out.0.bias"]}
        ),
    )


def test_averages_in_a_single_file(tmp_path):
    spec = FAMILIES["sd1"]
    last, average = random_model(spec, seed=1), random_model(spec, seed=2)
    path = tmp_path / "a.safetensors"
    with_average(path, spec, last, average)
    for ema, want in ((None, average), (True, average), (False, last)):
        assert_same(convert.read(path, ema=ema)[1]["unet"], want["unet"])
        assert_same(convert.read(path, ema=ema)[1]["vae"], last["vae"])
    lacking = averaged_name("model.diffusion_model.out.2.weight")
    rewrite(path, lambda tensors: {n: t for n, t in tensors.items() if n != lacking})
    with pytest.warns(
        UserWarning,
        match=r"\.safetensors: its averaged U-Net lacks 1 tensors, so the other one is read",
    ):
        assert_same(convert.read(path)[1], last)
    with pytest.raises(ValueError, match="averaged U-Net lacks 1 tensors; leave out ema"):
        convert.read(path, ema=True)
    assert_same(convert.read(path, ema=False)[1], last)


@pytest.mark.parametrize("where", ["unet_ema", "non_ema"])
def test_averages_in_a_folder(tmp_path, where):
    spec = FAMILIES["sd1"]
    last, average = random_model(spec, seed=1), random_model(spec, seed=2)
    write_folder(tmp_path / "model", spec, last)
    write_folder(tmp_path / "other", spec, average)
    if where == "unet_ema":
        (tmp_path / "other/unet").rename(tmp_path / "model/unet_ema")
    else:
        unet = tmp_path / "model/unet/diffusion_pytorch_model.safetensors"
        unet.rename(unet.with_name("diffusion_pytorch_model.non_ema.safetensors"))
        (tmp_path / "other/unet/diffusion_pytorch_model.safetensors").rename(unet)
    for ema, want in ((None, average), (True, average), (False, last)):
        assert_same(convert.read(tmp_path / "model", ema=ema)[1]["unet"], want["unet"])
    if where == "unet_ema":  # which diffusers does not read
        with pytest.warns(UserWarning, match="unet_ema is read, and unet left aside"):
            convert.open_model(tmp_path / "model")


@pytest.mark.parametrize("ema", [True, False])
def test_there_must_be_two_to_choose_from(tmp_path, ema):
    spec = FAMILIES["sd1"]
    write_folder(tmp_path / "model", spec, random_model(spec))
    convert.write_single_file(tmp_path / "a.safetensors", spec, random_model(spec))
    for source in ("model", "a.safetensors"):
        with pytest.raises(ValueError, match=r"leave out ema$"):
            convert.read(tmp_path / source, ema=ema)


def test_tokenizers_travel(tmp_path):
    spec = FAMILIES["sdxl"]
    write_folder(tmp_path / "model", spec, random_model(spec))
    first, second = convert.open_model(tmp_path / "model").tokenizers
    assert (first.pad_token, second.pad_token) == (len(VOCABULARY.ids) - 1, 0)
    assert first.vocabulary == VOCABULARY
    open_conversion(str(tmp_path / "model"), str(tmp_path / "b")).run(lambda count: None)
    assert convert.open_model(tmp_path / "b").tokenizers == (first, second)


def kind_of(tensor):
    return tensor.shape, tensor.dtype


@pytest.mark.parametrize(
    ("stored", "dtype", "kept"),
    [
        ("float16", "float32", "float16"),
        ("bfloat16", "float32", "bfloat16"),
        ("float16", "bfloat16", "bfloat16"),
        ("float32", "float16", "float16"),
        ("float32", "float32", "float32"),
    ],
)
def test_halves_are_kept_where_more_bits_are_asked_for(tmp_path, stored, dtype, kept):
    spec = FAMILIES["sd1"]
    params = random_model(spec, stored)
    write_folder(tmp_path / "model", spec, params)
    model = convert.open_model(tmp_path / "model")
    got = model.params(dtype_named(dtype), keep_halves=True)
    assert_same(got, jax.tree.map(lambda leaf: leaf.astype(dtype_named(kept)), params))
    assert all(leaf.ctypes.data % ALIGNMENT == 0 for leaf in jax.tree.leaves(got))
    outline = model.outline(dtype_named(dtype), keep_halves=True)
    assert jax.tree.map(kind_of, outline) == jax.tree.map(kind_of, got)
