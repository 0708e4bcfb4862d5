"""Files that diffusers' Flax pipelines wrote, held to what diffusers made of them for PyTorch."""

import hashlib
import json
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import orbax.checkpoint as ocp
import pytest
from flax.serialization import msgpack_restore, to_bytes
from flax.training.train_state import TrainState

from jaxsd.convert import open_model, read, read_controlnet, write_controlnet, write_diffusers
from jaxsd.convert.files.flax_file import read_flax
from jaxsd.convert.files.weight_files import choose, open_weights

FIXTURE = Path(__file__).parents[1] / "data" / "flax_pipeline.zip"
FILE = "diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("flax")
    zipfile.ZipFile(FIXTURE).extractall(folder)
    return folder


def hashes(file: Path) -> dict[str, str]:
    tensors, _ = open_weights(file)
    read = {name: np.ascontiguousarray(one.read(), np.float32) for name, one in tensors.items()}
    return {name: hashlib.sha256(array.tobytes()).hexdigest() for name, array in read.items()}


def test_weights_are_those_that_diffusers_made_for_torch(folder: Path, tmp_path: Path) -> None:
    model = open_model(folder)
    assert (model.scheduler, model.spec.schedule.beta_end) == ("PNDMScheduler", 0.012)
    spec, params = read(folder)
    write_diffusers(tmp_path / "torch", spec, params, tokenizers=model.tokenizers)
    wanted = json.loads((folder / "torch.json").read_text())
    for part, file in (("unet", FILE), ("vae", FILE), ("text_encoder", "model.safetensors")):
        assert hashes(tmp_path / "torch" / part / file) == wanted[part]


def test_settings_of_maxdiffusion_are_left_aside(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "max")
    where = tmp_path / "max/unet/config.json"
    added = {"attention_kernel": "flash", "flash_min_seq_length": 4096, "mesh": None}
    where.write_text(json.dumps(json.loads(where.read_text()) | added))
    assert open_model(tmp_path / "max").spec == open_model(folder).spec


@pytest.fixture(scope="module")
def checkpoints(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same weights as MaxDiffusion's `save_checkpoint` lays them out, of two steps."""
    place = tmp_path_factory.mktemp("maxdiffusion")
    config = folder / "scheduler/scheduler_config.json"
    items = {"scheduler_config": ocp.args.JsonSave(json.loads(config.read_text()))}
    for part, file in (
        ("unet", "diffusion_flax_model.msgpack"),
        ("vae", "diffusion_flax_model.msgpack"),
        ("text_encoder", "flax_model.msgpack"),
    ):
        params = msgpack_restore((folder / part / file).read_bytes())
        if part == "text_encoder":  # with a table of CLIP's size, since there is no tokenizer
            table = params["text_model"]["embeddings"]["token_embedding"]
            table["embedding"] = np.resize(table["embedding"], (49408, 16))
        state = TrainState(0, None, jax.tree.map(jnp.asarray, params), None, {})
        settings = json.loads((folder / part / "config.json").read_text())
        settings |= {"vocab_size": 49408, "eos_token_id": 2} if part == "text_encoder" else {}
        items[f"{part}_config"] = ocp.args.JsonSave(settings)
        items[f"{part}_state"] = ocp.args.StandardSave(state)
    options = ocp.CheckpointManagerOptions(create=True, enable_async_checkpointing=False)
    with ocp.CheckpointManager(place, options=options, item_names=tuple(items)) as manager:
        for step in (9, 10):
            manager.save(step, args=ocp.args.Composite(**items), force=True)
    return place


def test_a_checkpoint_of_maxdiffusion_is_the_same_model(checkpoints: Path, folder: Path) -> None:
    model, flax = open_model(checkpoints), open_model(folder)
    assert model.files == "MaxDiffusion checkpoint"
    text = replace(flax.spec.text[0], vocab_size=49408, pad_token=49407, added_tokens=0)
    assert model.spec == replace(flax.spec, text=(text,))
    assert model.tokenizers[0].pad_token == 49407
    for part, tensors in flax.tensors.items():
        assert model.tensors[part].keys() == tensors.keys()
        for path, tensor in tensors.items():
            if "token_embedding" not in path:
                np.testing.assert_array_equal(model.tensors[part][path].read(), tensor.read())


def test_damage_to_a_checkpoint_is_one_line(checkpoints: Path, tmp_path: Path) -> None:
    shutil.copytree(checkpoints / "9", tmp_path / "9")
    for path in (tmp_path / "9/unet_state").rglob("d/*"):
        path.write_bytes(b"")
    with pytest.raises(ValueError, match="unet_state is damaged: ") as error:
        open_model(tmp_path / "9")
    assert "\n" not in str(error.value)
    (tmp_path / "9/unet_state/manifest.ocdbt").unlink()
    with pytest.raises(ValueError, match="is no state that Orbax saved with OCDBT"):
        open_model(tmp_path)


def test_a_controlnet_too(folder: Path, tmp_path: Path) -> None:
    config, params = read_controlnet(folder / "controlnet")
    write_controlnet(tmp_path / "net", config, params)
    wanted = json.loads((folder / "torch.json").read_text())["controlnet"]
    assert hashes(tmp_path / "net" / FILE) == wanted


def test_a_file_of_pytorch_is_taken_before_flax() -> None:
    flax, torch = "diffusion_flax_model.msgpack", "diffusion_pytorch_model.bin"
    assert choose([flax, torch]) == torch
    assert choose([flax]) == flax
    assert choose(["flax_model.msgpack", "config.json"]) == "flax_model.msgpack"


def write(path: Path, tree: object) -> Path:
    path.write_bytes(tree if isinstance(tree, bytes) else to_bytes(tree))
    return path


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
def test_arrays_are_read_to_the_bit(tmp_path: Path, dtype: type) -> None:
    random = np.random.default_rng(0)
    conv, dense, scale, words = (
        random.standard_normal(shape).astype(dtype)
        for shape in ((3, 3, 2, 5), (2, 5), (70_000,), (6, 4))
    )
    tree = {
        "blocks_12": {"conv_in": {"kernel": conv, "bias": scale}, "norm1": {"scale": scale}},
        "time_embedding": {"linear_1": {"kernel": dense}},
        "layers": {"3": {"token_embedding": {"embedding": words}}},
    }
    wanted = {
        "blocks.12.conv_in.weight": conv.transpose(3, 2, 0, 1),
        "blocks.12.conv_in.bias": scale,
        "blocks.12.norm1.weight": scale,
        "time_embedding.linear_1.weight": dense.T,
        "layers.3.token_embedding.weight": words,
    }
    tensors = read_flax(write(tmp_path / "a.msgpack", tree))
    assert tensors.keys() == wanted.keys()
    for name, array in wanted.items():
        assert (tensors[name].shape, tensors[name].dtype) == (array.shape, dtype)
        np.testing.assert_array_equal(tensors[name].read(), array)


WRONG = {
    "empty": (b"", "is empty"),
    "no map": (b"\x93\x01\x02\x03", "begins a value of kind array, not map"),
    "a number": ({"step": 3}, "'step' is a value of kind int, not an array"),
    "integers": ({"a": {"b": np.arange(3)}}, "'a/b' is int64; allowed is float32, float16"),
    "cut": (to_bytes({"a": np.zeros(9, np.float32)})[:-1], "and needs"),
    "more": (to_bytes({"a": np.zeros(9, np.float32)}) + b"x", "1 bytes follow its tree"),
    "another extension": (b"\x81\xa1a\xd4\x02\x00", "is an extension of kind 2"),
    "unknown": (b"\x81\xa1a\xc1", "begins a value of kind 0xc1"),
    "deep": (b"\x81\xa1a" * 40 + b"\x80", "nested more than 32 deep"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_tree_of_arrays_is_one_line(tmp_path: Path, case: str) -> None:
    content, message = WRONG[case]
    with pytest.raises(ValueError, match=message) as error:
        open_weights(write(tmp_path / "wrong.msgpack", content))
    assert "\n" not in str(error.value)
    assert "wrong.msgpack" in str(error.value)
