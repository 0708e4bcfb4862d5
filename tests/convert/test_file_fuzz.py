"""Random wrong files of weights: each is read, or refused in one line, soon, and in little memory.

`JAXSD_FUZZ=20000` tries that many of each kind instead of the few of a normal run.
"""

import json
import random
import re
import shutil
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
from convert_fakes import unread
from flax.serialization import to_bytes
from fuzzing import NUMBERS, as_json, attempt, mutated, parts, scrambled, seeds
from ip_adapter_fakes import adapter_tensors, full, plain, plus
from motion_fakes import FRAMES, motion_tensors, original_name
from safetensors import SafetensorError, safe_open
from tiny_models import TINY
from torch_bytes import WRITERS, call, dict_of, name, number, of_array, storage, tensor, text

from jaxsd.adapters.embedding import read_embedding
from jaxsd.adapters.kinds import KINDS
from jaxsd.adapters.lora_files import read_lora
from jaxsd.adapters.lora_metadata import ADAPTER, stated_alphas
from jaxsd.adapters.lora_names import adapted_kernels
from jaxsd.config import T2IAdapterConfig
from jaxsd.convert import read_controlnet
from jaxsd.convert.diffusers.fields import read_json
from jaxsd.convert.diffusers.parts import PARTS, networks
from jaxsd.convert.diffusers.schedule_settings import schedule_config, scheduler_settings
from jaxsd.convert.diffusers.unet_settings import unet_settings
from jaxsd.convert.files.safetensors_file import read_safetensors, write_safetensors
from jaxsd.convert.files.tensors import in_memory
from jaxsd.convert.files.weight_files import open_folder, open_weights
from jaxsd.convert.ip_adapter import open_ip_adapter
from jaxsd.convert.layers_model import read_layers_model
from jaxsd.convert.motion import open_motion
from jaxsd.convert.motion_lora import with_loras
from jaxsd.convert.original.single_file import model_of, table
from jaxsd.convert.original.spec import spec_of
from jaxsd.convert.original.spec_json import from_json, to_json
from jaxsd.convert.report import report
from jaxsd.convert.slots import _file_shape, leaf_kind
from jaxsd.convert.t2i_adapter import open_t2i_tensors, t2i_parameters, torch_name
from jaxsd.convert.upscaler import open_upscaler
from jaxsd.convert.upscaler_layouts import LAYOUTS
from jaxsd.families import PLAYGROUND, X4
from jaxsd.upscalers import CompactConfig, RDNConfig, RRDBConfig

pytestmark = parts


def read_file(path):
    """Opens a file in all the ways there are, and reads what numbers it has."""
    tensors, _ = open_weights(path)
    report(str(path), ema=None, prediction=None)
    for one in tensors.values():
        assert one.read().shape == one.shape
    read_embedding(path)


HEADER = {
    "__metadata__": {"format": "pt", "token": "x"},
    "emb_params": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
    "b": {"dtype": "F16", "shape": [4], "data_offsets": [24, 32]},
}


def test_safetensors(tmp_path, part):
    path = tmp_path / "x.safetensors"
    for seed in seeds(part):
        rng = random.Random(seed)
        value = HEADER
        for _ in range(rng.randrange(3)):
            value = mutated(rng, value)
        header = as_json(rng, value)
        length = rng.choice([len(header)] * 8 + [0, 2**63])
        whole = length.to_bytes(8, "little") + header + bytes(rng.choice((32, 32, 31, 0)))
        path.write_bytes(scrambled(rng, whole) if rng.random() < 0.2 else whole)
        attempt(lambda: read_file(path), seed)
        assert refusal(path) in (refusal_of_library(path), OURS), seed


OURS = "more than weights have"
"""Refused here alone: what the library reads, and no file of weights has."""


def refusal(path):
    """Why a file is refused here; None for one that is read."""
    try:
        read_safetensors(path)
    except ValueError as error:
        ours = re.search("at most|which is not read", str(error))
        return OURS if ours else "it is none"
    return None


def refusal_of_library(path):
    """The same of the format's own library."""
    try:
        with safe_open(path, "numpy") as file:
            assert file.keys() is not None
    except (SafetensorError, OverflowError):
        return "it is none"
    return None


NAMES = (
    ("collections", "OrderedDict"),
    ("torch", "Size"),
    ("torch", "FloatStorage"),
    ("torch", "float8_e5m2"),
    ("torch.storage", "UntypedStorage"),
    ("torch._utils", "_rebuild_tensor_v2"),
    ("torch._utils", "_rebuild_tensor_v3"),
    ("torch._utils", "_rebuild_parameter"),
    ("torch._tensor", "_rebuild_from_type_v2"),
    ("torch.nn.modules.container", "ParameterDict"),
    ("builtins", "set"),
    ("os", "system"),
)
# Opcodes without arguments: marks, tuples, lists, tables, calls, states, copies, memo.
PLAIN = [
    bytes([code])
    for code in b"(0120}]){tlde\x85\x86\x87abesuRb\x81oQNI\x88\x89\x8f\x90\x91\x92\x93\x94"
]
ARRAY = np.arange(6, dtype=np.float32)


def some_value(rng, depth=3):
    """Opcodes that make a value, or something like one."""
    items = [some_value(rng, depth - 1) for _ in range(rng.randrange(4))] if depth else []
    kinds = [
        lambda: number(rng.choice(NUMBERS[:-3])),
        lambda: text(rng.choice(["0", "*", "x", "state_dict", "a" * 100])),
        lambda: name(*rng.choice(NAMES)),
        lambda: b"h" + bytes([rng.randrange(4)]),
        lambda: rng.choice(PLAIN),
        lambda: b"(" + b"".join(items) + rng.choice((b"t", b"l", b"d", b"\x90", b"\x91")),
        lambda: dict_of({str(k): item for k, item in enumerate(items)}),
        lambda: call(name(*rng.choice(NAMES)), *items),
        lambda: b"".join(items) + b"q" + bytes([rng.randrange(4)]),
        lambda: (b"h\x01" * 2 + b"\x86q\x01") * rng.choice((1, 40)),
        lambda: rng.choice((b"K\x010", b"]", b"(", b"h\x00a", b"N\x85")) * 3000,
        lambda: tensor(
            some_value(rng, depth - 1) if depth else storage("FloatStorage", "0", 6),
            tuple(rng.choice(NUMBERS[:9]) for _ in range(rng.randrange(3))),
            tuple(rng.choice(NUMBERS[:9]) for _ in range(rng.randrange(3))),
            rng.choice(NUMBERS[:9]),
        ),
    ]
    return rng.choice(kinds)()


def test_pickles(tmp_path, part):
    path = tmp_path / "x.pt"
    for seed in seeds(part):
        rng = random.Random(seed)
        state = {"string_to_param": dict_of({"*": of_array(ARRAY, "0")}), "x": some_value(rng)}
        write = rng.choice(list(WRITERS.values()))
        value = some_value(rng) if rng.random() < 0.3 else dict_of(state)
        write(path, value, {"0": ARRAY})
        if rng.random() < 0.5:
            path.write_bytes(scrambled(rng, path.read_bytes()))
        attempt(lambda: read_file(path), seed)


TREE = {"conv_in": {"kernel": np.zeros((2, 3), np.float32), "bias": np.zeros(3, np.float16)}}


def test_flax(tmp_path, part):
    path = tmp_path / "x.msgpack"
    for seed in seeds(part):
        path.write_bytes(scrambled(random.Random(seed), to_bytes(TREE)))
        attempt(lambda: read_file(path), seed)


LAYERS_MODEL = Path(__file__).parents[1] / "goldens/layers_model"


def test_layers_models(tmp_path, part):
    shutil.copy(LAYERS_MODEL / "weights.bin", tmp_path)
    whole = json.loads((LAYERS_MODEL / "model.json").read_text())
    for seed in seeds(part, 2):
        rng = random.Random(seed)
        manifest = whole["weightsManifest"]
        for _ in range(rng.choice((1, 1, 2))):
            manifest = mutated(rng, manifest)
        changed = whole | {"weightsManifest": manifest}
        changed = changed if rng.random() < 0.5 else mutated(rng, changed)
        (tmp_path / "model.json").write_bytes(as_json(rng, changed))
        attempt(lambda: read_layers_model(tmp_path), seed)


SPEC = TINY["sdxl"]
UNET = unet_settings(SPEC.unet, linear_projection=True, sample_size=64, upcast_attention=False)


def gguf_bytes(rng):
    """A small file of GGUF with a few values and two tensors, whose numbers may be others."""

    def some(value, *others):
        return rng.choice(others or (0, 1, 2**31, 2**32 - 1)) if rng.random() < 0.03 else value

    def far(value):
        return some(value, 0, 1, 7, 2**40, 2**62, 2**64 - 1)

    def packed(text):
        return struct.pack("<Q", far(len(text))) + text

    def listed(depth):
        inside = struct.pack("<IQ", some(8), far(2)) + packed(b"a") + packed(b"bc")
        return struct.pack("<IQ", 9, 1) * depth + inside

    values = [
        packed(b"general.alignment") + struct.pack("<II", some(4), some(32)),
        packed(b"names") + struct.pack("<I", 9) + listed(some(0, 3, 2000)),
        packed(b"comfy.gguf.orig_shape.x") + struct.pack("<IIQ", 9, some(11, *range(14)), far(2)),
    ]
    values[2] += struct.pack("<qq", some(32, -1, 2**62), 1)
    kinds, name = (*range(40), 2**31), some(b"y", b"x", b"", b"\xff", b"a" * 70_000)
    tensors = [
        packed(b"x") + struct.pack("<IQIQ", some(1), far(32), some(8, *kinds), far(0)),
        packed(name) + struct.pack("<IQQIQ", some(2), far(2), far(3), some(1, *kinds), far(64)),
    ]
    version = some(3, 0, 1, 2, 4)
    head = struct.pack("<4sIQQ", b"GGUF", version, far(len(tensors)), far(len(values)))
    head += b"".join(values + tensors)
    return head + bytes(-len(head) % 32) + bytes(64 + 12)


def test_gguf(tmp_path, part):
    path = tmp_path / "any.gguf"
    for seed in seeds(part):
        rng = random.Random(seed)
        whole = gguf_bytes(rng)
        path.write_bytes(scrambled(rng, whole) if rng.random() < 0.3 else whole)

        def read():
            for one in open_weights(path)[0].values():
                one.read()

        attempt(read, seed)


def test_configs(tmp_path, part):
    path = tmp_path / "config.json"
    kinds = dict(networks(SPEC).values())
    facts = {
        "UNet2DConditionModel": {"pooled_dim": SPEC.text[-1].projection_dim},
        "CLIPTextModel": {"hidden_layer": -2},
        "CLIPTextModelWithProjection": {"hidden_layer": -2},
    }
    for seed in seeds(part):
        rng = random.Random(seed)
        kind = rng.choice(list(kinds))
        settings = (
            UNET
            if "UNet" in kind
            else PARTS[kind].settings(
                kinds[kind], **({"sample_size": 64} if kind == "AutoencoderKL" else {})
            )
        )
        path.write_bytes(as_json(rng, mutated(rng, settings)))

        def read(kind=kind):
            config = PARTS[kind].config(read_json(path), where=str(path), **facts.get(kind, {}))
            PARTS[kind].shapes(config)

        attempt(read, seed)


EDM = replace(SPEC, schedule=PLAYGROUND.schedule, vae=PLAYGROUND.vae)
SMALL = replace(SPEC, unet=replace(SPEC.unet, in_channels=7, noise_levels=400), small=X4.small)


def test_indexes_and_metadata(tmp_path, part):
    kernels = list(adapted_kernels(SPEC).values())
    alphas = {"unet.lora_alpha": 4, "unet.alpha_pattern": {"conv_in": 2.0}, "unet.r": 4}
    index = {"metadata": {}, "weight_map": {"x": "a.safetensors", "y": "a.safetensors"}}
    for seed in seeds(part):
        rng = random.Random(seed)
        one = rng.choice((SPEC, EDM, SMALL))
        noise = tmp_path / "scheduler_config.json"
        noise.write_bytes(as_json(rng, mutated(rng, scheduler_settings(one))))
        attempt(lambda noise=noise: schedule_config(read_json(noise), str(noise)), seed)
        spec = as_json(rng, mutated(rng, json.loads(to_json(one)))).decode(errors="replace")
        attempt(lambda spec=spec: from_json(spec), seed)
        facts = {ADAPTER: as_json(rng, mutated(rng, alphas)).decode(errors="replace")}
        attempt(lambda facts=facts: stated_alphas(tmp_path, facts, kernels), seed)
        path = tmp_path / "model.safetensors.index.json"
        path.write_bytes(as_json(rng, mutated(rng, index)))
        attempt(lambda: open_folder(tmp_path), seed)


def test_names_and_shapes_of_single_files(part):
    slots, shapes = table(SPEC)
    whole = {slot.name: _file_shape(shapes[slot.path], slot.kind) for slot in slots}
    names = list(whole)
    for seed in seeds(part, 3):
        rng = random.Random(seed)
        changed = dict(whole)
        for one in rng.sample(names, rng.choice((1, 2, 20))):
            match rng.randrange(3):
                case 0:
                    del changed[one]
                case 1:
                    changed[one] = tuple(rng.choice(NUMBERS[1:9]) for _ in range(rng.randrange(5)))
                case 2:
                    start, end = one.split(".", 1)
                    number = rng.choice((0, 1, 99, 10**9))
                    changed |= {f"{start}.{number}.{end}": (3,), f"{one}.{number}.x": (3,)}
        if rng.random() < 0.1:
            block = "model.diffusion_model.input_blocks"
            changed |= {f"{block}.{k}.0.in_layers.2.weight": (64, 64) for k in range(20_000)}
        tensors = unread(changed)
        attempt(lambda tensors=tensors: model_of(tensors, spec_of(tensors, {}, "v")), seed)


UPSCALERS = (
    RRDBConfig(2, 1, 1, 1),
    RRDBConfig(2, 1, 1, 2),
    RRDBConfig(2, 1, 1, 0),
    CompactConfig(2, 1, 2),
    RDNConfig(2, 1, 1, 1, 2),
)


def test_networks_that_enlarge(tmp_path, part):
    """Files of all layouts with tensors that are missing, too many, or of another shape."""
    path = tmp_path / "x.safetensors"
    for seed in seeds(part, 3):
        rng = random.Random(seed)
        sign, config = rng.choice(list(zip(LAYOUTS, UPSCALERS, strict=True)))
        _, shapes_of, name_of = LAYOUTS[sign]
        arrays = {
            name_of(config, own): np.ones(_file_shape(shape, leaf_kind(own, shape)), np.float32)
            for own, shape in shapes_of(config).items()
        }
        for one in rng.sample(list(arrays), rng.choice((1, 2, 6))):
            shape = [rng.choice((0, 1, 2, 3, 12)) for _ in range(rng.randrange(5))]
            number = rng.choice(("0", "1", "99", "10000000000", "x"))
            another = re.sub(r"\d+", number, one, count=1)
            arrays[rng.choice((one, another))] = np.ones(shape, np.float32)
            if rng.random() < 0.3:
                del arrays[next(iter(arrays))]
        write_safetensors(path, {key: in_memory(array) for key, array in arrays.items()}, {})
        attempt(lambda: open_upscaler(path), seed)


T2I = T2IAdapterConfig(3, (320, 640, 1280, 1280), 2, 8, (False, True, True, True))


def test_adapters_that_see_pictures(tmp_path, part):
    """Names and shapes of IP-Adapters and T2I-Adapters, some gone, some with other numbers."""
    unet = TINY["sd1"].unet
    shapes = [{torch_name(path): shape[::-1] for path, shape in t2i_parameters(T2I).items()}]
    for kind in (plain, full, plus):
        tensors = adapter_tensors(unet, kind(24, unet.context_dim))
        shapes.append({name: tensor.shape for name, tensor in tensors.items()})
    for seed in seeds(part, 3):
        rng = random.Random(seed)
        changed = dict(rng.choice(shapes))
        for one in rng.sample(list(changed), rng.choice((1, 2, 9))):
            del changed[one]
            other = re.sub(r"\d+", str(rng.choice((0, 1, 99, 10**9))), one)
            changed[rng.choice((one, other, f"adapter.{one}"))] = tuple(
                rng.choice((0, 1, 2, 3, 7, 64)) for _ in range(rng.randrange(5))
            )
        attempt(lambda changed=changed: open_t2i_tensors(unread(changed)), seed)
        path = tmp_path / "x.safetensors"
        few = {n: np.zeros(s, np.float16) for n, s in changed.items() if np.prod(s) < 2**16}
        write_safetensors(path, {n: in_memory(a) for n, a in few.items()}, {})
        attempt(lambda path=path: open_ip_adapter(path, unet, "sd1"), seed)
        attempt(lambda path=path: read_controlnet(path), seed)


STEMS = ("lora_unet_conv_in", "unet.mid_block.attentions.0.proj_in", "lora_te_final_layer_norm")
ROLES = sorted({role for kind in KINDS.values() for form in kind.forms for role in form})
ENDINGS = (*ROLES, "lora_up.weight", "lora_down.weight", "lora_A.weight", "lora_B.weight")
FACTS = {"unet": '["GEGLU", "CrossAttention"]', "<s1>": "<embed>", "text_encoder": "[]"}


def test_kinds_of_adapters(tmp_path, part):
    """Keys of all kinds of LoRA files, whole forms and pieces of them, with shapes that may fit."""
    forms = [form for kind in KINDS.values() for form in kind.forms]
    for seed in seeds(part, 12):
        rng = random.Random(seed)
        arrays = {}
        for stem in rng.sample(STEMS, rng.choice((1, 2))):
            roles = rng.choice([rng.choice(forms), rng.sample(ENDINGS, 3), ["lora_up.weight"]])
            for role in {*roles, *rng.sample(("alpha", "dora_scale", "diff_b", "x"), 1)}:
                shape = [rng.choice((0, 1, 2, 3, 4, 8, 32)) for _ in range(rng.randrange(5))]
                arrays[f"{stem}.{role}"] = np.ones(shape, rng.choice((np.float32, np.int32)))
        for n in range(rng.choice((0, 0, 2, 30))):
            arrays[f"{rng.choice(('unet', 'text_encoder'))}:{n}:up"] = np.ones((32, 1), np.float32)
        facts = {name: text for name, text in FACTS.items() if rng.random() < 0.3}
        if rng.random() < 0.3:
            facts["unet"] = as_json(rng, mutated(rng, ["GEGLU"])).decode(errors="replace")[:1000]
        path = tmp_path / "x.safetensors"
        write_safetensors(path, {key: in_memory(array) for key, array in arrays.items()}, facts)
        attempt(lambda path=path: read_lora(path, SPEC), seed)


MOTION = {
    name: motion_tensors(TINY["sd1"].unet, middle=middle)
    for name, middle in (("v3", False), ("v2", True))
}
ADAPTER_CONFIG = {"_class_name": "MotionAdapter", "motion_num_attention_heads": 4}


def test_motion_modules(tmp_path, part):
    """Names and shapes of motion modules and of their LoRAs, some gone, some with other numbers."""
    unet = TINY["sd1"].unet
    kernel = "down_blocks.0.motion_modules.0.transformer_blocks.0.attn1.to_q"
    lora = {f"{kernel}.lora_{role}.weight": (2, 32)[::way] for role, way in (("A", 1), ("B", -1))}
    folder = tmp_path / "adapter"
    folder.mkdir()
    for seed in seeds(part, 6):
        rng = random.Random(seed)
        made = {name: t.shape for name, t in MOTION[rng.choice(("v2", "v3"))].items()}
        made |= {
            name.replace("attn1.to_q.weight", "pos_embed.pe"): (1, FRAMES, shape[1])
            for name, shape in made.items()
            if name.endswith("attn1.to_q.weight")
        }
        if rng.random() < 0.5:
            made = {original_name(name): shape for name, shape in made.items()}
        changed, changed_lora = (_with_others(rng, one) for one in (made, lora))
        changed_lora |= lora if rng.random() < 0.5 else {}
        for path, shapes in (("x", changed), ("l", changed_lora), ("adapter/model", changed)):
            arrays = {name: in_memory(np.ones(shape, np.float16)) for name, shape in shapes.items()}
            write_safetensors(tmp_path / f"{path}.safetensors", arrays, {})
        (folder / "model.safetensors").rename(folder / "diffusion_pytorch_model.safetensors")
        (folder / "config.json").write_bytes(as_json(rng, mutated(rng, ADAPTER_CONFIG)))

        def read(place):
            tensors = open_motion(place, unet, "sd1").tensors
            for one in with_loras(tensors, [(tmp_path / "l.safetensors", 0.5)]).values():
                one.read()

        attempt(lambda: read(tmp_path / "x.safetensors"), seed)
        attempt(lambda: read(folder), seed)


def _with_others(rng, shapes):
    """Names and shapes, of which at times a few are gone and a few are others."""
    changed = dict(shapes)
    for one in rng.sample(list(shapes), min(len(shapes), rng.choice((0, 1, 1, 2, 9)))):
        shape = changed.pop(one)
        number = rng.choice(("0", "1", "99", "10000000000", "x"))
        name = re.sub(r"\d+", number, one, count=1)
        other = tuple(rng.choice((0, 1, 2, 7, 32, 64)) for _ in range(rng.randrange(5)))
        changed[rng.choice((one, name, f"module.{one}", name))] = rng.choice((shape, other))
    return changed
