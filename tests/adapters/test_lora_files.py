"""LoRA files: both formats there and back, every spelling, and what is refused."""

import json
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from lora_fakes import leaf, random_factors, random_lora
from real_files import LORA
from tiny_models import TINY, pipeline_params, relative_error, uniform

from jaxsd.adapters.lora import merged
from jaxsd.adapters.lora_files import read_lora, read_lora_file
from jaxsd.adapters.lora_names import spellings
from jaxsd.adapters.lora_writing import write_lora_kohya, write_lora_peft
from jaxsd.convert.files.safetensors_file import write_safetensors
from jaxsd.convert.files.tensors import in_memory
from jaxsd.convert.files.weight_files import open_weights
from jaxsd.families import FAMILIES

SPEC = TINY["sd1"]
BLOCK = "down_blocks.0.attentions.0.transformer_blocks.0"
QUERY = "unet/down_blocks_0/attentions_0/transformer_blocks_0/attn1/to_q/kernel"
OUT = QUERY.replace("to_q", "to_out_0")
PROJ = "unet/down_blocks_0/attentions_0/proj_in/kernel"
CONV = "unet/down_blocks_0/resnets_0/conv1/kernel"
TEXT = "text/0/encoder/layers_1/self_attn/out_proj/kernel"


PARAMS = pipeline_params(SPEC)


def write(path: Path, arrays: dict[str, np.ndarray], **metadata: str) -> Path:
    tensors = {name: in_memory(np.asarray(array)) for name, array in arrays.items()}
    write_safetensors(path, tensors, metadata)
    return path


def assert_same(got, want) -> None:
    assert got.keys() == want.keys()
    for path, factors in want.items():
        assert got[path].keys() == factors.keys()
        for role, array in factors.items():
            assert got[path][role].dtype == np.asarray(array).dtype, f"{path} {role}"
            np.testing.assert_array_equal(got[path][role], array, err_msg=f"{path} {role}")


@pytest.mark.parametrize("writer", [write_lora_peft, write_lora_kohya])
@pytest.mark.parametrize("family", ["sd1", "sd2", "sdxl", "sdxl-refiner", "emoji"])
def test_round_trips_are_bit_exact(tmp_path, family, writer):
    """Ranks and alphas that differ, and dtypes that NumPy does not know."""
    spec = TINY[family]
    lora = random_lora(spec, ranks=(2, 3, 1), alphas=(2.0, 0.7))
    for n, factors in enumerate(lora.values()):
        dtype = (np.float32, np.float16, ml_dtypes.bfloat16)[n % 3]
        factors |= {role: factors[role].astype(dtype) for role in ("down", "up")}
    writer(tmp_path / "x.safetensors", lora, spec)
    assert_same(read_lora(tmp_path / "x.safetensors", spec), lora)


def test_middle_factors_go_to_kohya_alone(tmp_path):
    lora = {
        CONV: random_factors(CONV, (1, 1, 32, 32), 4, 4.0) | {"mid": uniform("m", (3, 3, 4, 4))}
    }
    write_lora_kohya(tmp_path / "x.safetensors", lora, SPEC)
    assert_same(read_lora(tmp_path / "x.safetensors", SPEC), lora)
    with pytest.raises(ValueError, match="PEFT has no place for the middle factor"):
        write_lora_peft(tmp_path / "y.safetensors", lora, SPEC)
    assert not (tmp_path / "y.safetensors").exists()


def test_files_say_what_they_are(tmp_path):
    lora = random_lora(SPEC, ["attn1", "text/"], ranks=(3,), alphas=(6.0,))
    write_lora_kohya(tmp_path / "x.safetensors", lora, SPEC)
    tensors, facts = open_weights(tmp_path / "x.safetensors")
    assert facts["ss_network_dim"] == "3"
    assert facts["ss_network_alpha"] == "6.0"
    assert facts["ss_base_model_version"] == "sd_v1"
    assert tensors["lora_te_text_model_encoder_layers_0_mlp_fc1.lora_down.weight"].shape == (3, 32)
    write_lora_peft(tmp_path / "y.safetensors", lora, SPEC)
    tensors, facts = open_weights(tmp_path / "y.safetensors")
    assert f"unet.{BLOCK}.attn1.to_q.lora_A.weight" in tensors
    assert '"text_encoder.lora_alpha": 6.0' in facts["lora_adapter_metadata"]


ATTENTION = f"{BLOCK}.attn1"
LAYER = "text_model.encoder.layers.1.self_attn"


@pytest.mark.parametrize(
    ("stem", "down", "up", "path"),
    [
        (f"unet.{ATTENTION}.to_q", "lora_A", "lora_B", QUERY),
        (f"unet.{ATTENTION}.to_q", "lora_A.default", "lora_B.default", QUERY),
        (f"unet.{ATTENTION}.to_q", "lora.down", "lora.up", QUERY),
        (f"unet.{ATTENTION}.processor.to_q_lora", "down", "up", QUERY),
        (f"{ATTENTION}.processor.to_out_lora", "down", "up", OUT),
        (f"lora_unet_{ATTENTION}_to_out_0".replace(".", "_"), "lora_down", "lora_up", OUT),
        (f"text_encoder.{LAYER}.out_proj", "lora_linear_layer.down", "lora_linear_layer.up", TEXT),
        (f"text_encoder.{LAYER}.to_out_lora", "down", "up", TEXT),
        ("text_encoder.encoder.layers.1.self_attn.out_proj", "lora_A", "lora_B", TEXT),
        (f"lora_te_{LAYER}_out_proj".replace(".", "_"), "lora_down", "lora_up", TEXT),
        (f"lora_te1_{LAYER}_out_proj".replace(".", "_"), "lora_down", "lora_up", TEXT),
    ],
)
def test_every_spelling(tmp_path, stem, down, up, path):
    """Without alpha the change is up @ down as it is."""
    down, up = f"{stem}.{down}.weight", f"{stem}.{up}.weight"
    arrays = {down: uniform("down", (2, 32)), up: uniform("up", (32, 2))}
    lora = read_lora(write(tmp_path / "x.safetensors", arrays), SPEC)
    assert list(lora) == [path]
    kernel = leaf(merged(PARAMS, lora), path)
    want = leaf(PARAMS, path) + (arrays[up] @ arrays[down]).T
    assert relative_error(kernel, want) < 1e-6  # sums in another order


def test_convolutions_of_kohya(tmp_path):
    """PyTorch's axes by hand; `proj_in` of SD 1 is a 1x1 convolution in files, alpha is halved."""
    stem = "lora_unet_down_blocks_0_resnets_0_conv1"
    proj = "lora_unet_down_blocks_0_attentions_0_proj_in"
    arrays = {
        f"{stem}.lora_down.weight": uniform("down", (4, 32, 3, 3)),
        f"{stem}.lora_up.weight": uniform("up", (32, 4, 1, 1)),
        f"{stem}.alpha": np.asarray(2.0, np.float16),
        f"{proj}.lora_down.weight": uniform("down1", (4, 32, 1, 1)),
        f"{proj}.lora_up.weight": uniform("up1", (32, 4, 1, 1)),
        f"{proj}.alpha": np.asarray([8], np.int64),
    }
    lora = read_lora(write(tmp_path / "x.safetensors", arrays), SPEC)
    down, up = (arrays[f"{stem}.lora_{role}.weight"] for role in ("down", "up"))
    change = np.einsum("or,rihw->hwio", up[:, :, 0, 0], down)
    tree = merged(PARAMS, lora)
    assert relative_error(leaf(tree, CONV), leaf(PARAMS, CONV) + 0.5 * change) < 1e-6
    down, up = (arrays[f"{proj}.lora_{role}.weight"][:, :, 0, 0] for role in ("down", "up"))
    assert relative_error(leaf(tree, PROJ), leaf(PARAMS, PROJ) + 2 * (up @ down).T) < 1e-6


def test_metadata_of_peft_gives_alphas(tmp_path):
    name = f"unet.{ATTENTION}"
    arrays = {}
    for module in ("to_q", "to_k"):
        arrays[f"{name}.{module}.lora_A.weight"] = uniform("down", (2, 32))
        arrays[f"{name}.{module}.lora_B.weight"] = uniform("up", (32, 2))
    config = {"unet.lora_alpha": 16, "unet.alpha_pattern": {f"^{ATTENTION}.to_k": 3}}
    path = write(tmp_path / "x.safetensors", arrays, lora_adapter_metadata=json.dumps(config))
    lora = read_lora(path, SPEC)
    assert [float(factors["alpha"]) for factors in lora.values()] == [3.0, 16.0]
    config = json.dumps(config | {"unet.use_rslora": True})
    write(path, arrays, lora_adapter_metadata=config)
    lora = read_lora(path, SPEC)  # alpha / sqrt(rank) is alpha * sqrt(rank) / rank
    alphas = [float(factors["alpha"]) for factors in lora.values()]
    np.testing.assert_allclose(alphas, [3 * 2**0.5, 16 * 2**0.5], rtol=1e-6)


STEM = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
PAIR = {
    f"{STEM}.lora_down.weight": np.zeros((2, 32), np.float32),
    f"{STEM}.lora_up.weight": np.zeros((32, 2), np.float32),
}


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({f"{STEM}.hada_w1_a": np.zeros((2, 2))}, r"has hada_w1_a of unet.*none of LoRA: down up"),
        (
            {f"{STEM}.lokr_w1": np.zeros((2, 2)), f"{STEM}.lokr_w2": np.zeros((3, 3))},
            r"lokr_w1 \[2, 2\], lokr_w2 \[3, 3\] instead of what makes \[32, 32\]",
        ),
        (PAIR | {f"{STEM}.dora_scale": np.zeros((2, 2))}, r"dora_scale \[2, 2\] instead of \[32\]"),
        (
            PAIR | {f"{STEM}.diff_b": np.zeros(2)},
            "diff_b changes a bias, and .* has none",
        ),
        ({f"{STEM}.diff": np.zeros((2, 2))}, r"diff \[2, 2\] instead of what makes \[32, 32\]"),
        ({f"{STEM}.oft_R.weight": np.zeros((2, 2))}, r"is OFT of PEFT .*; merge it by PEFT"),
        ({f"{STEM}.boft_R": np.zeros((2, 2))}, r"is BOFT of PEFT .*; merge it by PEFT"),
        ({f"{STEM}.ia3_l": np.zeros((2, 2))}, r"ia3_l \[2, 2\] is not \[out, 1\] or \[1, in\]"),
        (
            {f"{STEM}.oft_blocks": np.zeros((5, 7, 7), np.float32)},
            r"oft_blocks \[5, 7, 7\] instead of what makes \[32, 32\]",
        ),
        (
            PAIR | {"unet.x.lora_B.bias": np.zeros(2)},
            "1 unused: unet.x.lora_B.bias",
        ),
        (
            {
                key.replace("lora_down", "lora_A").replace("lora_up", "lora_B"): own
                for key, own in PAIR.items()
            }
            | {f"{STEM}.lora_B.bias": np.zeros(32, np.float32)},
            "lora_B.bias changes a bias, and .* has none",
        ),
        (
            PAIR | {"lora_unet_input_blocks_4_1_proj_in.lora_down.weight": np.zeros((2, 2))},
            "1 unused: lora_unet_input_blocks_4_1_proj_in.lora_down.weight",
        ),
        (PAIR | {f"{STEM}.weight": np.zeros(2)}, "1 unused"),
        ({f"{STEM}.lora_down.weight": np.zeros((2, 32), np.float32)}, "1 missing: up of unet/down"),
        ({f"{STEM}.alpha": np.float32(1)}, "2 missing"),
        (
            PAIR | {f"{STEM}.lora_down.weight": np.zeros((2, 40), np.float32)},
            r"1 misshapen: .*lora_down.weight \[2, 40\] instead of \[2, 32\]",
        ),
        (
            PAIR | {f"{STEM}.lora_up.weight": np.zeros((32, 3), np.float32)},
            r"1 misshapen: .*lora_down.weight \[2, 32\] instead of \[3, 32\]",
        ),
        (
            PAIR | {f"{STEM}.alpha": np.zeros(2, np.float32)},
            r"alpha is \[2\] instead of one number",
        ),
        (
            PAIR | {f"{STEM}.lora_up.weight": np.full((32, 2), np.inf, np.float32)},
            "has numbers that are not finite in unet/down_blocks_0",
        ),
        (
            PAIR | {f"unet.{BLOCK}.attn1.to_q.lora_A.weight": np.zeros((2, 32), np.float32)},
            "twice, also as",
        ),
        (
            {
                key: array[: 0 if "down" in key else 32, : 0 if "up" in key else 32]
                for key, array in PAIR.items()
            },
            r"2 misshapen: .*lora_down.weight \[0, 32\] instead of \[1, 32\]",
        ),
        ({}, "x.safetensors is empty, not a LoRA"),
        (PAIR, None),
    ],
)
def test_what_cannot_be_read_is_told_in_one_line(tmp_path, arrays, message):
    path = write(tmp_path / "x.safetensors", arrays)
    if message is None:
        assert float(read_lora(path, SPEC)[QUERY]["alpha"]) == 2  # the rank
        return
    with pytest.raises(ValueError, match=message) as error:
        read_lora(path, SPEC)
    assert "\n" not in str(error.value)


def test_a_real_file_by_module_number():
    """Of SD 1.5: what is where, from the shapes of the file and the order of PyTorch's modules."""
    tensors, _ = open_weights(LORA)
    found = read_lora_file(LORA, FAMILIES["sd1"])
    block = "attentions_0/transformer_blocks_0"
    for path, number in {
        f"unet/down_blocks_0/{block}/attn1/to_q/kernel": "unet:0",
        f"unet/down_blocks_0/{block}/ff/net_0/proj/kernel": "unet:4",
        f"unet/down_blocks_0/{block}/attn2/to_v/kernel": "unet:7",
        f"unet/up_blocks_1/{block}/attn1/to_out_0/kernel": "unet:57",
        f"unet/mid_block/{block}/attn2/to_out_0/kernel": "unet:143",
        "text/0/encoder/layers_0/self_attn/k_proj/kernel": "text_encoder:0",
        "text/0/encoder/layers_11/self_attn/q_proj/kernel": "text_encoder:46",
    }.items():
        factors = found.lora[path]
        assert float(factors["alpha"]) == 1  # the rank
        np.testing.assert_array_equal(factors["up"], tensors[f"{number}:up"].read().T)
        np.testing.assert_array_equal(factors["down"], tensors[f"{number}:down"].read().T)
    assert len(found.lora) == 192
    assert {word: vectors[0].shape for word, vectors in found.words.items()} == {
        "<s1>": (1, 768),
        "<s2>": (1, 768),
    }


def test_a_lora_of_another_family_is_refused_by_both_names():
    with pytest.raises(ValueError, match="is a LoRA of sd1, and the model is one of sdxl; take"):
        read_lora(LORA, FAMILIES["sdxl"])


def test_ranks_may_differ_and_without_alpha_the_scale_is_one(tmp_path):
    """As diffusers since its issue 14409, where the scale had been rank over the commonest rank."""
    arrays, ranks = {}, {"to_q": 2, "to_k": 4, "to_v": 4}
    for module, rank in ranks.items():
        name = f"unet.{ATTENTION}.{module}"
        arrays[f"{name}.lora_A.weight"] = uniform(f"{module} down", (rank, 32))
        arrays[f"{name}.lora_B.weight"] = uniform(f"{module} up", (32, rank))
    lora = read_lora(write(tmp_path / "x.safetensors", arrays), SPEC)
    assert [float(f["alpha"]) / f["up"].shape[0] for f in lora.values()] == [1, 1, 1]


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("conv_in", "unet/conv_in/kernel"),
        ("conv_out", "unet/conv_out/kernel"),
        ("time_embedding_linear_1", "unet/time_embedding/linear_1/kernel"),
    ],
)
def test_keys_of_kohya_outside_of_blocks(name, path):
    """Which diffusers did not know until its issue 14006."""
    assert spellings(SPEC)[f"lora_unet_{name}"] == path


@pytest.mark.parametrize("writer", [write_lora_peft, write_lora_kohya])
def test_what_is_not_the_models_is_not_written(tmp_path, writer):
    path = tmp_path / "x.safetensors"
    path.write_text("what was there")
    factors = random_factors(QUERY, (32, 32), 2, 2.0)
    with pytest.raises(ValueError, match=r"not one of sd1 .* 1 unused: vae/x/kernel"):
        writer(path, {"vae/x/kernel": factors}, SPEC)
    with pytest.raises(ValueError, match=r"1 misshapen: .*/down \[40, 2\] instead of \[32, 2\]"):
        writer(path, {QUERY: random_factors(QUERY, (40, 32), 2, 2.0)}, SPEC)
    with pytest.raises(ValueError, match="the LoRA is empty"):
        writer(path, {}, SPEC)
    assert path.read_text() == "what was there"
    assert list(tmp_path.iterdir()) == [path]
    writer(path, {QUERY: factors}, SPEC)
    assert_same(read_lora(path, SPEC), {QUERY: factors})
