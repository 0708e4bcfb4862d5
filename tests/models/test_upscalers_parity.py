"""Networks that enlarge pictures, beside their architectures written in PyTorch, from its files."""

import json
from pathlib import Path

import numpy as np
import pytest
from real_files import larger
from tiny_models import apply, relative_error

torch = pytest.importorskip("torch")

from torch.nn import functional as F

from jaxsd.convert.upscaler import read_upscaler
from jaxsd.models.upscalers import upscaler

pytestmark = pytest.mark.parity

Tensors = dict[str, "torch.Tensor"]


def random(shapes: dict[str, tuple[int, ...]]) -> Tensors:
    """Kernels [O, I, h, w] with biases, or vectors, that keep numbers near 1."""
    torch.manual_seed(0)
    found = {}
    for name, shape in shapes.items():
        if len(shape) == 1:
            found[f"{name}.weight"] = torch.rand(shape) / 2
            continue
        found[f"{name}.weight"] = torch.randn(shape) * (shape[1] * shape[2] * shape[3]) ** -0.5
        found[f"{name}.bias"] = torch.randn(shape[0]) / 10
    return found


def conv(tensors: Tensors, name: str, x: "torch.Tensor") -> "torch.Tensor":
    kernel = tensors[f"{name}.weight"]
    return F.conv2d(x, kernel, tensors[f"{name}.bias"], padding=kernel.shape[-1] // 2)


class ESRGAN:
    """Wang et al. 2018, figures 3 and 4; names of one of its three kinds of files."""

    def __init__(self, dense: str, names: tuple[str, ...], folded: int = 1) -> None:
        first, body, *ups, hr, last = names
        self.dense, self.names, self.folded = dense, names, folded
        shapes = {first: (8, 3 * folded**2, 3, 3)}
        for i in range(2):
            for j in range(1, 4):
                for k in range(1, 6):
                    out = 4 if k < 5 else 8
                    shapes[dense.format(i=i, j=j, k=k)] = (out, 8 + 4 * (k - 1), 3, 3)
        shapes |= dict.fromkeys((body, *ups, hr), (8, 8, 3, 3)) | {last: (3, 8, 3, 3)}
        self.tensors = random(shapes)

    def __call__(self, x: "torch.Tensor") -> "torch.Tensor":
        tensors, (first, body, *ups, hr, last) = self.tensors, self.names

        def leaky(name: str, x: "torch.Tensor") -> "torch.Tensor":
            return F.leaky_relu(conv(tensors, name, x), 0.2)

        x = begun = conv(tensors, first, F.pixel_unshuffle(x, self.folded))
        for i in range(2):
            h = x
            for j in range(1, 4):
                seen = [h]
                for k in range(1, 5):
                    name = self.dense.format(i=i, j=j, k=k)
                    seen.append(leaky(name, torch.cat(seen, 1)))
                name = self.dense.format(i=i, j=j, k=5)
                h = h + 0.2 * conv(tensors, name, torch.cat(seen, 1))
            x = x + 0.2 * h
        x = begun + conv(tensors, body, x)
        for name in ups:
            x = leaky(name, F.interpolate(x, scale_factor=2, mode="nearest"))
        return conv(tensors, last, leaky(hr, x))


class SRVGGNetCompact:
    """Real-ESRGAN's compact network with PReLU."""

    def __init__(self, scale: int) -> None:
        self.scale = scale
        shapes = {"body.0": (8, 3, 3, 3), "body.1": (8,)}
        shapes |= {"body.2": (8, 8, 3, 3), "body.3": (8,), "body.4": (8, 8, 3, 3), "body.5": (8,)}
        self.tensors = random(shapes | {"body.6": (3 * scale**2, 8, 3, 3)})

    def __call__(self, x: "torch.Tensor") -> "torch.Tensor":
        h = x
        for i in (0, 2, 4):
            h = F.prelu(conv(self.tensors, f"body.{i}", h), self.tensors[f"body.{i + 1}.weight"])
        h = F.pixel_shuffle(conv(self.tensors, "body.6", h), self.scale)
        return h + F.interpolate(x, scale_factor=self.scale, mode="nearest")


OLD = ("model.1.sub.{i}.RDB{j}.conv{k}.0", ("model.0", "model.1.sub.2"))
NEW = ("RRDB_trunk.{i}.RDB{j}.conv{k}", ("conv_first", "trunk_conv", "upconv1", "upconv2"))
REAL = ("body.{i}.rdb{j}.conv{k}", ("conv_first", "conv_body", "conv_up1", "conv_up2"))
CASES = {
    "old x4": (ESRGAN(OLD[0], (*OLD[1], "model.3", "model.6", "model.8", "model.10")), 4),
    "new": (ESRGAN(NEW[0], (*NEW[1], "HRconv", "conv_last")), 4),
    "real x4": (ESRGAN(REAL[0], (*REAL[1], "conv_hr", "conv_last")), 4),
    "real x2": (ESRGAN(REAL[0], (*REAL[1], "conv_hr", "conv_last"), folded=2), 2),
    "compact x4": (SRVGGNetCompact(4), 4),
    "compact x1": (SRVGGNetCompact(1), 1),
}


@pytest.mark.parametrize("name", CASES)
def test_files_of_torch_give_its_pictures(name: str, tmp_path: Path) -> None:
    twin, scale = CASES[name]
    old = name.startswith("old")
    torch.save(twin.tensors if old else {"params_ema": twin.tensors}, tmp_path / "network.pth")
    file = read_upscaler(tmp_path / "network.pth")
    assert file.config.scale == scale
    x = torch.rand(2, 3, 8, 12)
    want = twin(x).permute(0, 2, 3, 1).numpy()
    network = upscaler(file.config, np.dtype(np.float32))
    got = apply(network, file.params, images=x.permute(0, 2, 3, 1).numpy())
    assert got.shape == (2, 8 * scale, 12 * scale, 3)
    assert relative_error(got, want) < 1e-5


def keras(folder: Path, x: "torch.Tensor") -> "torch.Tensor":
    """A model of TensorFlow.js, layer by layer as its model.json says."""
    said = json.loads((folder / "model.json").read_text("utf-8"))
    numbers = np.fromfile(folder / said["weightsManifest"][0]["paths"][0], "<f4")
    tensors = {}
    for one in said["weightsManifest"][0]["weights"]:
        values, numbers = np.split(numbers, [int(np.prod(one["shape"]))])
        tensors[one["name"]] = torch.from_numpy(values.reshape(one["shape"]))
    made = {"LR": x}
    for layer in said["modelTopology"]["model_config"]["config"]["layers"][1:]:
        name, given = layer["name"], [made[one[0]] for one in layer["inbound_nodes"][0]]
        match layer["class_name"]:
            case "Conv2D":
                kernel = tensors[f"{name}/kernel"].permute(3, 2, 0, 1)
                own = {"bias": tensors[f"{name}/bias"], "padding": "same"}
                made[name] = F.conv2d(*given, kernel, **own)
            case "Activation":
                made[name] = F.relu(*given)
            case "Concatenate":
                made[name] = torch.cat(given, 1)
            case "Add":
                made[name] = sum(given)
            case "UpSampling2D":
                made[name] = F.interpolate(*given, scale_factor=tuple(layer["config"]["size"]))
    return made[name]


@pytest.mark.parametrize("scale", [2, 4])
def test_a_real_network_gives_what_its_graph_says(scale: int, tmp_path: Path) -> None:
    from pack_upscaler import converted

    from jaxsd.convert.files.safetensors_file import write_safetensors

    folder = larger(f"upscaler/esrgan-slim/x{scale}")
    write_safetensors(tmp_path / "slim.safetensors", converted(folder, "float32"), {})
    file = read_upscaler(tmp_path / "slim.safetensors")
    x = torch.rand(1, 3, 12, 10)
    network = upscaler(file.config, np.dtype(np.float32))
    got = apply(network, file.params, images=x.permute(0, 2, 3, 1).numpy())
    assert relative_error(got, keras(folder, x).permute(0, 2, 3, 1).numpy()) < 1e-5
