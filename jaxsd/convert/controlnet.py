"""ControlNets in and out: diffusers' folders, and single files in the original code's names."""

from pathlib import Path

from jaxsd.config import ControlNetConfig
from jaxsd.convert.config_fields import read_json
from jaxsd.convert.controlnet_settings import (
    controlnet_config,
    controlnet_settings,
    linear_by_heads,
    pooled_dim,
)
from jaxsd.convert.diffusers_names import torch_name, unet_slots
from jaxsd.convert.file_shapes import FileShapes
from jaxsd.convert.kinds import kind_of
from jaxsd.convert.original_names import RESNET, controlnet_modules, renamed
from jaxsd.convert.original_shapes import TIME_ID_WIDTH, encoder_config
from jaxsd.convert.parameters import controlnet_parameters
from jaxsd.convert.safetensors_file import write_safetensors
from jaxsd.convert.slots import Slot, fill, lay_out, unet_kind
from jaxsd.convert.tensors import FlatTree, cast, dtype_named, flatten, load
from jaxsd.convert.weight_files import open_folder, open_weights
from jaxsd.convert.write import new_folder, write_json
from jaxsd.types import Params

_PREFIX = "control_model."
_SIGN = "input_hint_block.0.weight"
_DIFFUSERS_SIGN = "controlnet_cond_embedding.conv_in.weight"


def read_controlnet(
    source: str | Path, *, dtype: str | None = "float32"
) -> tuple[ControlNetConfig, Params]:
    """A ControlNet's numbers and its parameters as NumPy arrays, one tensor at a time.

    Args:
      source: a diffusers folder (config.json beside the weights), or a single file in the original
        code's names, alone or inside a whole model (`control_model.`).
      dtype: "float32", "float16" or "bfloat16"; `None` keeps what is stored.

    Raises:
      ValueError: one line that says what is wrong with the source.
      FileNotFoundError: if there is no such file or folder.
    """
    wanted = dtype and dtype_named(dtype)
    path = Path(source)
    if not path.exists():
        raise FileNotFoundError(f"no ControlNet at {source}: no such file or folder")
    config, tensors = _open_folder(path) if path.is_dir() else _open_file(path)
    tensors = {name: cast(tensor, wanted, name) for name, tensor in tensors.items()}
    return config, load(tensors)


def _open_folder(folder: Path) -> tuple[ControlNetConfig, FlatTree]:
    where = folder / "config.json"
    settings = read_json(where)
    kind = settings.get("_class_name", "ControlNetModel")
    if kind != "ControlNetModel":
        raise ValueError(f"{folder} is a {kind}, not a ControlNetModel")
    config = controlnet_config(settings, str(where))
    shapes = controlnet_parameters(config)
    slots = unet_slots(shapes, linear=bool(settings.get("use_linear_projection", False)))
    return config, fill(slots, shapes, open_folder(folder), str(folder))


def _open_file(path: Path) -> tuple[ControlNetConfig, FlatTree]:
    tensors, _ = open_weights(path)
    if _DIFFUSERS_SIGN in tensors:
        raise ValueError(
            f"{path} is in diffusers' names, which do not tell the number of heads; give the "
            "folder that has its config.json too"
        )
    if _PREFIX + _SIGN in tensors:  # the rest of such a file is the model that it was trained on
        tensors = {
            name.removeprefix(_PREFIX): tensor
            for name, tensor in tensors.items()
            if name.startswith(_PREFIX)
        }
    if _SIGN not in tensors:
        raise ValueError(f"{path} is {kind_of(tensors)}, not a ControlNet of SD 1, 2 or XL")
    try:
        config, linear = configuration(FileShapes(tensors, ""))
        shapes = controlnet_parameters(config)
        return config, fill(original_slots(config, linear=linear), shapes, tensors, "it")
    except ValueError as error:
        raise ValueError(f"{path} cannot be read as a ControlNet: {error}") from error


def configuration(shapes: FileShapes) -> tuple[ControlNetConfig, bool]:
    """The numbers, and whether transformers begin and end with dense layers."""
    pooled = 0
    if "label_emb.0.0.weight" in shapes:
        features = shapes.size("label_emb.0.0.weight", 1)
        pooled = pooled_dim(features, TIME_ID_WIDTH, "its label_emb")
    unet, linear = encoder_config(shapes, pooled)
    # Convolutions are every second one; every second of those widens, and the last leaves.
    widths, number = [shapes.size(_SIGN, 0)], 4
    while f"input_hint_block.{number + 2}.weight" in shapes:
        widths.append(shapes.size(f"input_hint_block.{number}.weight", 0))
        number += 4
    return ControlNetConfig(unet, shapes.size(_SIGN, 1), tuple(widths)), linear


def original_slots(config: ControlNetConfig, *, linear: bool) -> list[Slot]:
    """Slots of a single file in the original code's names, without a prefix."""
    modules = controlnet_modules(config)
    return [
        Slot(
            path,
            renamed(torch_name(path), modules, RESNET),
            unet_kind(path, shape, linear=linear),
        )
        for path, shape in controlnet_parameters(config).items()
    ]


def write_controlnet(
    folder: str | Path,
    config: ControlNetConfig,
    params: Params,
    *,
    linear_projection: bool | None = None,
    overwrite: bool = False,
) -> None:
    """Write a ControlNet as a folder that diffusers loads. dtypes stay as they are.

    `params` is a tree of NumPy or JAX arrays. `linear_projection` is the layout of the U-Net's own
    files (`Layout.linear_projection`); `None` goes by its heads, as `linear_by_heads` does.

    Raises:
      ValueError: if the parameters are not those of the config, or diffusers cannot build it.
      FileExistsError: if the folder exists and may not be overwritten.
    """
    linear = linear_projection
    if linear is None:
        linear = linear_by_heads(config.unet)
    settings = controlnet_settings(config, linear_projection=linear)
    shapes = controlnet_parameters(config)
    slots = unet_slots(shapes, linear=linear)
    tensors = lay_out(slots, shapes, flatten(params), "the ControlNet's tree")
    with new_folder(Path(folder), overwrite) as beside:
        write_json(beside / "config.json", settings)
        write_safetensors(beside / "diffusion_pytorch_model.safetensors", tensors, {"format": "pt"})
