"""GLIGEN's layers: files under the original code's names, as ComfyUI's, and diffusers' U-Nets."""

from pathlib import Path

from jaxsd.config import UNetConfig
from jaxsd.convert.adapter_parameters import fuser_parameters, position_net_parameters
from jaxsd.convert.files.shapes import FileShapes
from jaxsd.convert.files.tensors import FlatTree
from jaxsd.convert.files.weight_files import open_folder, open_weights
from jaxsd.convert.kinds import kind_of
from jaxsd.convert.names import torch_slots
from jaxsd.convert.original.modules import RESNET, renamed_slots, unet_modules
from jaxsd.convert.parameters import unet_parameters
from jaxsd.convert.slots import fill
from jaxsd.terminal import printable

KIND = "GLIGEN's layers"
_NET, _LAYERS = "position_net", "fusers"
_ORIGINAL = ("input_blocks.", "middle_block.", "output_blocks.")


def open_gligen(path: Path, unet: UNetConfig, family: str) -> FlatTree:
    """GLIGEN's layers for a U-Net, of which no tensor is read yet.

    Args:
      path: of a file, or of diffusers' folder of a pipeline or of its U-Net. The file may have the
        whole U-Net, which is left aside, since training did not change it.
      unet: numbers of the U-Net.
      family: what an error calls it.

    Returns:
      `position_net/PATH` and `fusers/PATH` -> tensor, where the latter's paths are those of the
      U-Net's transformer blocks.

    Raises:
      ValueError: one line: a file of another kind, or layers for another U-Net.
      OSError: there is no such file.
    """
    if path.is_dir():
        within = path / "unet"
        tensors = open_folder(within if within.is_dir() else path)
    else:
        tensors = open_weights(path)[0]
    if (kind := kind_of(tensors)) != KIND:
        raise ValueError(f"{path} is {kind}, and not {KIND}")
    if f"{_NET}.null_image_feature" in tensors:
        raise ValueError(f"{path} is a GLIGEN that also sees pictures in boxes; take one of texts")
    try:
        shapes = FileShapes(tensors, f"{_NET}.")
        width = shapes.size("linears.4.weight", 0)
        if width != unet.context_dim:
            raise ValueError(
                f"they are for texts {width} wide, and those of {family} are {unet.context_dim} "
                "wide; take those that were trained with it"
            )
        net = position_net_parameters(shapes.size("null_positive_feature", 0), width)
        net = {f"{_NET}/{p}": shape for p, shape in net.items()}
        layers = {f"{_LAYERS}/{p}": shape for p, shape in fuser_parameters(unet).items()}
        own, whole = torch_slots(layers), torch_slots(unet_parameters(unet))
        own = [slot._replace(name=slot.name.removeprefix(f"{_LAYERS}.")) for slot in own]
        if any(name.startswith(_ORIGINAL) for name in tensors):
            modules = unet_modules(unet)
            own, whole = (renamed_slots(slots, modules, RESNET) for slots in (own, whole))
        beside = {slot.name for slot in whole}
        tensors = {name: tensor for name, tensor in tensors.items() if name not in beside}
        return fill([*torch_slots(net), *own], net | layers, tensors, "it")
    except ValueError as error:
        raise ValueError(printable(f"{path} cannot be read as {KIND}: {error}")) from error
