"""ControlNets in and out: diffusers' folders, and single files in diffusers' or original names."""

from dataclasses import replace
from importlib.resources import files
from pathlib import Path

from jaxsd.config import ControlNetConfig, T2IAdapterConfig, UNetConfig
from jaxsd.convert.adapter_parameters import controlnet_parameters
from jaxsd.convert.controlnet_union import KIND, filled, open_union_folder, with_kinds
from jaxsd.convert.diffusers import controlnet_shapes
from jaxsd.convert.diffusers.controlnet_settings import linear_by_heads
from jaxsd.convert.diffusers.fields import read_json
from jaxsd.convert.diffusers.parts import CONTROLNET, PARTS, open_part, save_part
from jaxsd.convert.encoder import check_groups
from jaxsd.convert.files.safetensors_file import write_safetensors
from jaxsd.convert.files.shapes import FileShapes
from jaxsd.convert.files.tensors import FlatTree, cast, dtype_named, flatten, load, without
from jaxsd.convert.files.weight_files import open_folder, open_weights
from jaxsd.convert.kinds import kind_of
from jaxsd.convert.original.control_lora import CHANGES, encoder_tensors, factored
from jaxsd.convert.original.controlnet import SIGN, configuration, hint_channels, original_slots
from jaxsd.convert.slots import fill, lay_out
from jaxsd.convert.t2i_adapter import T2I, open_t2i_folder, open_t2i_tensors
from jaxsd.families import UNET_SD1, UNET_SD2
from jaxsd.types import Params

_PREFIX = "control_model."
BUILT_IN = {"emoji-edges": "emoji_edges.safetensors"}
"""ControlNets inside the package, of the built-in model."""


def read_controlnet(
    source: str | Path,
    *,
    unet: tuple[UNetConfig, Params] | None = None,
    dtype: str | None = "float32",
) -> tuple[ControlNetConfig | T2IAdapterConfig, Params]:
    """A ControlNet's numbers and its parameters as NumPy arrays, one tensor at a time.

    Args:
      source: a built-in name ("emoji-edges"); or a diffusers folder (config.json beside the
        weights); or a single file in diffusers' names or in the original code's, alone or inside a
        whole model (`control_model.`); or a Control-LoRA or a file of differences, which are
        changes to the weights of a U-Net; or a T2I-Adapter, as a folder or a file.
      unet: numbers and parameters of the U-Net that it is used with, as nested arrays or as path ->
        lazy tensor. Files of changes need it. For a single file it gives heads and norm groups,
        which shapes do not tell; the file must hold a ControlNet for this U-Net.
      dtype: "float32", "float16" or "bfloat16"; `None` keeps what is stored, with float32 for sums.

    Raises:
      ValueError: one line that says what is wrong with the source.
      FileNotFoundError: if there is no such file or folder.
    """
    wanted = dtype and dtype_named(dtype)
    path = controlnet_place(source)
    if not path.is_dir():
        config, tensors = _open_file(path, unet)
    elif read_json(path / "config.json").get("_class_name") == T2I:
        config, tensors = open_t2i_folder(path)
    elif kinds_in(path):
        config, tensors = open_union_folder(path)
    else:
        config, _, tensors = open_part(CONTROLNET, path)
    tensors = {name: cast(tensor, wanted, name) for name, tensor in tensors.items()}
    return config, load(tensors)


def controlnet_place(source: str | Path) -> Path:
    """The file or folder of a ControlNet, built-in names among them.

    Raises:
      FileNotFoundError: if there is none.
    """
    name = BUILT_IN.get(str(source))
    path = Path(source) if name is None else Path(str(files("jaxsd") / "assets" / name))
    if not path.exists():
        raise FileNotFoundError(f"no ControlNet at {source}: no such file or folder")
    return path


def kinds_in(source: str | Path) -> int:
    """How many kinds of pictures a ControlNet-Union tells apart; 0 for all other networks.

    Raises:
      ValueError: the file or folder cannot be read.
      FileNotFoundError: there is none.
    """
    path = controlnet_place(source)
    tensors = open_folder(path) if path.is_dir() else open_weights(path)[0]
    shape = tensors[KIND].shape if KIND in tensors else ()
    return shape[0] if shape else 0


def _open_file(
    path: Path, unet: tuple[UNetConfig, Params] | None
) -> tuple[ControlNetConfig | T2IAdapterConfig, FlatTree]:
    tensors, _ = open_weights(path)
    kind, marker = kind_of(tensors), next((name for name in CHANGES if name in tensors), None)
    if kind not in ("a ControlNet", "a ControlNet-Union", "a Control-LoRA", "a T2I-Adapter"):
        raise ValueError(f"{path} is {kind}, not a ControlNet or T2I-Adapter of SD 1, 2 or XL")
    if marker and unet is None:
        raise ValueError(
            f"{path} holds changes to a U-Net ({marker}), whose weights are not in it; read it "
            "with unet=(config, params) of the model that it is used with"
        )
    if _PREFIX + SIGN in tensors:  # the rest of such a file is the model that it was trained on
        tensors = {
            name.removeprefix(_PREFIX): tensor
            for name, tensor in tensors.items()
            if name.startswith(_PREFIX)
        }
    try:
        if kind == "a T2I-Adapter":
            return open_t2i_tensors(tensors)
        if marker:
            return _changed(marker, without(tensors, [marker]), *unet)
        return whole(tensors, unet and unet[0])
    except ValueError as error:
        wanted = kind if kind == "a T2I-Adapter" else "a ControlNet"
        raise ValueError(f"{path} cannot be read as {wanted}: {error}") from error


def _changed(
    marker: str, tensors: FlatTree, unet: UNetConfig, params: Params
) -> tuple[ControlNetConfig, FlatTree]:
    """A ControlNet from a file of changes to a U-Net."""
    shapes = FileShapes(tensors, "")
    encoder = replace(unet, guidance_dim=None)
    config = ControlNetConfig(encoder, shapes.size(SIGN, 1), hint_channels(shapes))
    # Files have 1x1 convolutions or dense kernels; where the latter are expected, either fits.
    slots = original_slots(config, linear=True)
    whole = CHANGES[marker](tensors, encoder_tensors(config, slots, flatten(params)))
    return config, fill(slots, controlnet_parameters(config), whole, "it")


def whole(tensors: FlatTree, unet: UNetConfig | None) -> tuple[ControlNetConfig, FlatTree]:
    """A ControlNet from the tensors of a file that has all of it.

    `unet` is the U-Net that it is for; None looks for a known one where shapes do not say enough.

    Raises:
      ValueError: if there is none, or `unet` has other shapes.
    """
    original = SIGN in tensors
    from_shapes = configuration if original else controlnet_shapes.configuration
    config, linear = from_shapes(FileShapes(tensors, ""))
    if unet is not None:
        config = _with_heads(config, unet)
    elif not original and config.unet.added is None:
        config = _with_known_heads(config)
    else:
        check_groups(config.unet)
    if KIND in tensors:
        config = with_kinds(config, FileShapes(tensors, ""))
        return config, filled(config, tensors, "it", linear=linear)
    if original:
        slots = original_slots(config, linear=linear)
        return config, fill(slots, controlnet_parameters(config), tensors, "it")
    return config, PARTS[CONTROLNET].fill(config, tensors, "it", linear=linear)


def _with_known_heads(config: ControlNetConfig) -> ControlNetConfig:
    """The ControlNet with the heads of SD 1 or 2, whichever it is made for."""
    for unet in (UNET_SD1, UNET_SD2):
        if _sizes(config.unet) == _sizes(unet):
            return _with_heads(config, unet)
    raise ValueError(
        "it is in diffusers' names, which do not tell the number of heads, and its U-Net has "
        f"{_sizes(config.unet)}, which is not SD 1, 2 or XL; give the folder that has its "
        "config.json too, or read it with unet=(config, params)"
    )


def _with_heads(config: ControlNetConfig, unet: UNetConfig) -> ControlNetConfig:
    """The ControlNet with what shapes do not tell of its U-Net: heads, and groups of norms."""
    if _sizes(config.unet) != _sizes(unet):
        raise ValueError(
            f"it is for a U-Net with {_sizes(config.unet)}, and the given one has {_sizes(unet)}; "
            "take the model that it was trained for"
        )
    channels = config.unet.in_channels
    return replace(config, unet=replace(unet, in_channels=channels, guidance_dim=None))


def _sizes(unet: UNetConfig) -> str:
    """What shapes tell of an encoder, in words."""
    levels = ", ".join(
        f"{level.channels} x {level.resnets} (attention {level.attention_depth})"
        for level in unet.levels
    )
    added = f" and {unet.added.features} added features" if unet.added else ""
    return f"levels {levels}, middle {unet.mid_depth}, context {unet.context_dim}{added}"


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
    files (`Layout.linear_projection`); `None` takes the result of `linear_by_heads`.

    Raises:
      ValueError: if the parameters are not those of the config, or diffusers cannot build it.
      FileExistsError: if the folder exists and may not be overwritten.
    """
    linear = linear_by_heads(config.unet) if linear_projection is None else linear_projection
    place, facts = Path(folder), {"linear_projection": linear}
    save_part(place, CONTROLNET, config, params, overwrite=overwrite, **facts)


def write_control_lora(
    path: str | Path,
    config: ControlNetConfig,
    params: Params,
    unet: tuple[UNetConfig, Params],
    *,
    rank: int,
    dtype: str = "float16",
) -> None:
    """Writes a ControlNet as a Control-LoRA: low-rank changes of the U-Net that it is used with.

    A ControlNet that was trained as a change of that rank loses only the precision of `dtype`. The
    file appears under its name only when it is complete.

    Args:
      path: path of the .safetensors file.
      config: config of the ControlNet.
      params: its parameters, NumPy or JAX arrays.
      unet: numbers and parameters of the U-Net.
      rank: rank of the factors.
      dtype: "float32", "float16" or "bfloat16".

    Raises:
      ValueError: if the parameters are not those of the config, or of that U-Net.
    """
    slots, wanted = original_slots(config, linear=True), dtype_named(dtype)
    encoder = encoder_tensors(config, slots, flatten(unet[1]))
    tree = lay_out(slots, controlnet_parameters(config), flatten(params), "the ControlNet's tree")
    stored = factored(tree, encoder, rank)
    tensors = {name: cast(tensor, wanted, name) for name, tensor in stored.items()}
    write_safetensors(Path(path), tensors, {})
