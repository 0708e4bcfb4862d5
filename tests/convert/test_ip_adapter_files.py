"""Files of IP-Adapters and image encoders, and what a drawing with them is given."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from convert_fakes import unread
from ip_adapter_fakes import (
    adapter_tensors,
    face,
    full,
    lora_within,
    plain,
    plus,
    write_adapter,
)
from safetensors.numpy import load_file, save_file
from tiny_models import TINY, tree_of
from tiny_pipelines import SMALLEST, pipeline
from torch_bytes import WRITERS, dict_of, of_array

from jaxsd.canvases import read_pictures
from jaxsd.config import VisionConfig
from jaxsd.convert.diffusers.parts import PARTS, PROJECTED_VISION
from jaxsd.convert.files.tensors import flatten
from jaxsd.convert.image_encoder import open_image_encoder, weights_place
from jaxsd.convert.ip_adapter import check_family, cross_attentions, open_ip_adapter
from jaxsd.convert.slots import _file_shape
from jaxsd.families import SD1, SDXL
from jaxsd.outputs import adapter_hashes
from jaxsd.pipeline import Pipeline, check_adapters
from jaxsd.settings import ImagePrompt, Settings

UNET = SMALLEST.unet
VISION = VisionConfig(24, 2, 3, 32, "quick_gelu", image_size=16, patch_size=8, projection_dim=10)
NAMES = {"width": "hidden_size", "layers": "num_hidden_layers", "heads": "num_attention_heads"}
NAMES |= {"mlp_width": "intermediate_size", "activation": "hidden_act"}
PICTURE = np.arange(20 * 30 * 3, dtype=np.uint8).reshape(20, 30, 3)


def write_encoder(folder: Path, config: VisionConfig, *, told: bool = True) -> None:
    """A tower of ones, as transformers writes it; `told` with its config.json."""
    folder.mkdir(exist_ok=True)
    part = PARTS[PROJECTED_VISION]
    shapes = part.shapes(config)
    slots = part.slots(shapes)
    tensors = {s.name: np.ones(_file_shape(shapes[s.path], s.kind), np.float16) for s in slots}
    save_file(tensors, folder / "model.safetensors")
    settings = {NAMES.get(name, name): value for name, value in vars(config).items()}
    if told:
        path = folder / "config.json"
        path.write_text(json.dumps(settings | {"model_type": "clip_vision_model"}))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """`plain` and `plus` adapters for the smallest model, with their encoder."""
    write_encoder(tmp_path / "image_encoder", VISION)
    write_adapter(tmp_path / "plain.safetensors", UNET, plain(10, UNET.context_dim))
    write_adapter(tmp_path / "plus.safetensors", UNET, plus(24, UNET.context_dim))
    return tmp_path


@pytest.fixture(scope="module")
def pipe() -> Pipeline:
    return pipeline(SMALLEST)


def test_attentions_are_numbered_as_in_real_files() -> None:
    """`ip-adapter_sd15` has kernels for 1, 3, ... 31, and `ip-adapter_sdxl` for 1, 3, ... 139."""
    paths = [path for path, _ in cross_attentions(SD1.unet)]
    assert len(paths) == 16
    assert paths[0] == "down_blocks_0/attentions_0/transformer_blocks_0/attn2"
    assert paths[6] == "up_blocks_1/attentions_0/transformer_blocks_0/attn2"  # ip_adapter.13
    assert paths[15] == "mid_block/attentions_0/transformer_blocks_0/attn2"  # ip_adapter.31
    widths = [width for _, width in cross_attentions(SDXL.unet)]
    assert widths == [640] * 4 + [1280] * 20 + [1280] * 30 + [640] * 6 + [1280] * 10


@pytest.mark.parametrize(("kind", "inputs"), [(plain, 10), (face, 12), (full, 24), (plus, 24)])
def test_every_tensor_of_a_file_has_its_place(kind, inputs, tmp_path):
    projection = kind(inputs, UNET.context_dim)
    stored = open_ip_adapter(
        write_adapter(tmp_path / "a.safetensors", UNET, projection), UNET, "sd1"
    )
    want = adapter_tensors(UNET, projection)
    assert len(stored.tensors) == len(want)
    sums = sorted(float(np.abs(tensor.read()).sum()) for tensor in stored.tensors.values())
    np.testing.assert_allclose(sums, sorted(np.abs(t).sum() for t in want.values()), rtol=1e-4)


def test_a_pickle_has_two_tables(tmp_path):
    tensors = adapter_tensors(UNET, plain(10, UNET.context_dim))
    tables, storages = {}, {}
    for i, (name, tensor) in enumerate(tensors.items()):
        top, rest = name.split(".", 1)
        storages[str(i)] = np.ascontiguousarray(tensor, np.float32)
        tables.setdefault(top, {})[rest] = of_array(storages[str(i)], str(i))
    path = tmp_path / "a.bin"
    state = dict_of({top: dict_of(table) for top, table in tables.items()})
    next(iter(WRITERS.values()))(path, state, storages)
    stored = open_ip_adapter(path, UNET, "sd1")
    want = tensors["ip_adapter.1.to_k_ip.weight"].T
    first, _ = cross_attentions(UNET)[0]
    np.testing.assert_array_equal(stored.tensors[f"layers/{first}/to_k/kernel"].read(), want)


def test_an_encoder_is_known_by_its_shapes(tmp_path):
    clip_l = VisionConfig(1024, 1, 16, 8, "quick_gelu", 28, 14, projection_dim=6)
    open_h = VisionConfig(1280, 1, 16, 8, "gelu", 28, 14, projection_dim=6)
    for config in (clip_l, open_h):
        write_encoder(tmp_path, config, told=False)
        found, tensors = open_image_encoder(tmp_path / "model.safetensors")
        assert found == config
        assert {p: t.shape for p, t in tensors.items()} == PARTS[PROJECTED_VISION].shapes(config)


def test_a_drawing_is_given_pictures_for_the_encoder(folder, pipe):
    prompts = [
        ImagePrompt("given", str(folder / "plain.safetensors"), 0.7, 0.0, 0.5),
        ImagePrompt("given", str(folder / "plus.safetensors"), blocks="mid=0.3"),
    ]
    options = {"ip_adapter": prompts, "ip_adapter_images": [PICTURE] * 2, "steps": 4}
    order = pipe.order(["[x|y]", "z"], "[a:b:2]", width=4, height=4, guidance_scale=3, **options)
    given = order.given.features["ip_adapter"]
    assert [one.shape for one in given.seen] == [(2, 16, 16, 3)] * 2
    assert given.negatives.tolist() == [2, 2]
    (run,) = order.runs
    column = np.asarray(run.columns["ip_adapter"])  # [S, B, A, N]
    np.testing.assert_allclose(column[:, 0, 0].T, np.float32([[0.7, 0.7, 0, 0]] * column.shape[-1]))
    np.testing.assert_allclose(column[:, 1, 1], np.float32(0.3))
    unguided = pipe.order("z", width=4, height=4, guidance_scale=1, **options)
    assert unguided.given.features["ip_adapter"].negatives.tolist() == [0]
    programs = pipe._programs(order)
    first, second = programs.params["ip_adapter"]
    assert first["vision"] is second["vision"]  # read once
    assert pipe._programs(order).params["ip_adapter"][0] is first
    assert "ip_adapter" not in programs.of_loop.params
    assert "ip_adapter" not in pipe._programs(pipe.order("z", width=4, height=4)).params


def test_shapes_alone_are_enough_to_compile(folder, pipe):
    shapes = replace(pipe, params={"unet": tree_of({"a": (1,)})}, seeing=type(pipe.seeing)())
    options = {"ip_adapter": [f"given:{folder / 'plus.safetensors'}"]}
    order = pipe.order("z", width=4, height=4, ip_adapter_images=[PICTURE], **options)
    (wanted,), (found,) = (one._programs(order).params["ip_adapter"] for one in (pipe, shapes))
    assert {p: t.shape for p, t in flatten(found).items()} == {
        p: t.shape for p, t in flatten(wanted).items()
    }


def write_face(folder: Path) -> str:
    tensors = face(12, UNET.context_dim)
    return str(write_adapter(folder / "face.safetensors", UNET, tensors, lora_within(UNET)))


def test_a_face_and_the_lora_inside(folder, pipe):
    """Tokens by the formula of two dense layers and a norm; W + up down in every attention."""
    file, embedding = write_face(folder), np.eye(1, 12, dtype=np.float32)
    prompts = [ImagePrompt("given", file), ImagePrompt("given", str(folder / "plain.safetensors"))]
    seen = [embedding, PICTURE]
    order = pipe.order("z", width=4, height=4, ip_adapter=prompts, ip_adapter_images=seen)
    np.testing.assert_array_equal(order.given.features["ip_adapter"].seen[0], embedding)
    programs = pipe._programs(order)
    assert adapter_hashes(Settings(ip_adapter=(prompts[0],))).keys() == {file}
    network, params = programs.networks.ip_adapters[0], programs.params["ip_adapter"][0]
    assert params.keys() == {"projection", "layers"}
    own = face(12, UNET.context_dim)

    def tokens(x: np.ndarray) -> np.ndarray:
        x = x @ own["proj.0.weight"].T + own["proj.0.bias"]
        x = x * (1 + np.vectorize(math.erf)(x / 2**0.5)) / 2
        x = (x @ own["proj.2.weight"].T + own["proj.2.bias"]).reshape(4, -1)
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
        return x * own["norm.weight"] + own["norm.bias"]

    got = network.tokens(params, embedding)[0]
    want = [tokens(np.zeros_like(embedding)), tokens(embedding)]
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)
    before, after = (flatten(one.params["unet"]) for one in (pipe, programs))
    lora = lora_within(UNET)
    for i, (path, _) in enumerate(cross_attentions(UNET)):
        for number, attention in ((2 * i, f"{path[:-1]}1"), (2 * i + 1, path)):
            for name, kernel in (("q", "to_q"), ("out", "to_out_0")):
                up, down = (
                    lora[f"ip_adapter.{number}.to_{name}_lora.{half}.weight"]
                    for half in ("up", "down")
                )
                place = f"{attention}/{kernel}/kernel"
                change = after[place].read() - before[place].read()
                np.testing.assert_allclose(change, (up @ down).T, atol=1e-5)


@pytest.mark.parametrize(
    ("seen", "why"),
    [
        (PICTURE, r"FaceID, which sees 12 numbers and not an array of shape \[20, 30, 3\]"),
        (np.ones(512, np.float32), r"FaceID, which sees 12 numbers and not .* \[512\]"),
        (np.ones(12, np.float32), "the embedding of a face has length 3.464, not 1"),
    ],
)
def test_what_is_no_face(folder, pipe, seen, why):
    prompts = [ImagePrompt("given", write_face(folder))]
    with pytest.raises(ValueError, match=why):
        pipe.order("z", width=4, height=4, ip_adapter=prompts, ip_adapter_images=[seen])
    (folder / "face.npy").write_bytes(b"no numbers")
    with pytest.raises(ValueError, match=r"face.npy': is no embedding of a face, .*numpy.save"):
        read_pictures(Settings(ip_adapter=(ImagePrompt("face.npy", "f"),)), folder)


def _changed(folder: Path, name: str, **changes: np.ndarray | None) -> str:
    tensors = load_file(folder / "plain.safetensors") | changes
    save_file({k: v for k, v in tensors.items() if v is not None}, folder / name)
    return str(folder / name)


def test_what_is_wrong_is_told_in_one_line(folder):
    def refused(file: str, message: str, encoder: str = "", spec=SMALLEST) -> None:
        settings = Settings(ip_adapter=(ImagePrompt("a.png", file),), image_encoder=encoder)
        with pytest.raises((ValueError, OSError), match=message) as caught:
            check_adapters([settings], spec)
        assert "\n" not in str(caught.value)

    good = str(folder / "plain.safetensors")
    settings = Settings(ip_adapter=(ImagePrompt.parse(f"a.png:{good}:up.7=1"),))
    with pytest.raises(ValueError, match=r"up.7=1: this U-Net has no such .*it has mid"):
        check_adapters([settings], SMALLEST)
    tensors = load_file(good)
    one = np.ones((4, 4), np.float32)
    refused("no.safetensors", "there is no file 'no.safetensors'", encoder=str(folder))
    refused(good, "no image encoder at nowhere, which IP-Adapter", encoder="nowhere")
    (folder / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="empty has no file of weights"):
        weights_place(folder / "empty")
    refused(good, "is an IP-Adapter, and not the vision tower of a CLIP", encoder=good)
    two = {"image_proj.perceiver_resampler.proj_in.weight": one}
    refused(_changed(folder, "two.safetensors", **two), "FaceID Plus, which sees a face by two")
    refused(write_face(folder), r"sees the embedding of a face; give its \.npy file")
    settings = Settings(ip_adapter=(ImagePrompt("a.npy", good),))
    with pytest.raises(ValueError, match=r"sees a picture, and a\.npy is the embedding of a face"):
        check_adapters([settings], SMALLEST)
    missing = {"image_proj.proj.bias": None}
    refused(_changed(folder, "less.safetensors", **missing), "missing: image_proj.proj.bias")
    more = {"image_proj.other.weight": one}
    refused(_changed(folder, "more.safetensors", **more), "unused: image_proj.other.weight")
    save_file({"lora_unet_conv_in.lora_up.weight": one}, folder / "lora.safetensors")
    refused(str(folder / "lora.safetensors"), "is a LoRA, not an IP-Adapter")
    real = adapter_tensors(SD1.unet, plain(1024, 768))
    with pytest.raises(ValueError, match="IP-Adapter for sd1, and the model is sdxl; take"):
        check_family(Path("a"), unread({n: t.shape for n, t in real.items()}), SDXL.unet, "sdxl")
    refused(
        good, r"for another U-Net \(1 cross-.* 32 wide\), and the model is sdxl", spec=TINY["sdxl"]
    )
    write_adapter(folder / "wide.safetensors", UNET, plain(11, UNET.context_dim))
    refused(str(folder / "wide.safetensors"), "image encoder of width 11, and .* has 10")
    assert len(tensors) == 4 + 2 * len(cross_attentions(UNET))
