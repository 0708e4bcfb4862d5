"""Files of one network alone, in the original names or diffusers'; and of text encoders."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from jaxsd.config import ModelSpec
from jaxsd.convert.diffusers.parts import PARTS, PROJECTED_TEXT, TEXT
from jaxsd.convert.diffusers.parts import UNET as UNET_CLASS
from jaxsd.convert.diffusers.parts import VAE as VAE_CLASS
from jaxsd.convert.files.tensors import FlatTree
from jaxsd.convert.files.weight_files import open_weights
from jaxsd.convert.kinds import kind_of
from jaxsd.convert.original.names import UNET, VAE, single_file_slots
from jaxsd.convert.original.spec import prediction_of, schedule_of, unet_of, vae_of
from jaxsd.convert.original.stated import stated_edm, stated_statistics
from jaxsd.convert.parameters import unet_parameters, vae_parameters
from jaxsd.convert.slots import Mismatch, fill
from jaxsd.convert.stored_model import family_name, layout_of
from jaxsd.families import FAMILIES, SD1, SD2, SDXL, SDXL_REFINER, VAE_SD
from jaxsd.terminal import printable

_TOKENS = "text_model.embeddings.token_embedding.weight"
POOLED = 1280
"""Width of the pooled text of XL and its refiner, which a U-Net alone does not tell."""


def open_unet(path: Path) -> tuple[ModelSpec, FlatTree] | None:
    """A U-Net alone: the spec of its family with it, and its tensors by path.

    None if the file is a whole model.

    Raises:
      ValueError: a file of another kind, or of no family that is known.
    """
    tensors, facts = open_weights(path)
    if any(name.startswith(VAE) for name in tensors):
        return None
    named = {name if name.startswith(UNET) else UNET + name: own for name, own in tensors.items()}
    if f"{UNET}input_blocks.0.0.weight" in named:
        try:
            return _original_unet(named, facts, path)
        except ValueError as error:
            raise ValueError(printable(f"{path} cannot be read as a U-Net: {error}")) from error
    for spec in FAMILIES.values():
        linear = spec.layout.linear_projection
        try:
            return spec, PARTS[UNET_CLASS].fill(spec.unet, tensors, str(path), linear=linear)
        except Mismatch:
            continue
    raise ValueError(f"{path} is {kind_of(tensors)}, not a U-Net of a family that is known")


def _original_unet(
    tensors: FlatTree, facts: dict[str, str], path: Path
) -> tuple[ModelSpec, FlatTree]:
    pooled = POOLED if f"{UNET}label_emb.0.0.weight" in tensors else None
    unet, linear = unet_of(tensors, pooled)
    alike = SD2 if linear else SD1
    if unet.added is not None:
        alike = SDXL if unet.added.time_ids == 6 else SDXL_REFINER
    layout = layout_of(unet, alike.text, linear=linear)
    prediction = prediction_of(tensors, facts, unet, layout.single_file)
    family = family_name(unet, prediction, stated_edm(tensors))
    alike = FAMILIES.get(family, alike)
    spec = replace(
        alike,
        family=family,
        unet=unet,
        layout=layout,
        prediction=prediction,
        schedule=schedule_of(tensors, facts, alike.schedule),
    )
    shapes = unet_parameters(unet)
    slots = single_file_slots("unet", spec, shapes)
    own = {slot.name for slot in slots}
    known = {name: tensor for name, tensor in tensors.items() if name in own}
    return spec, fill(slots, shapes, known, str(path))


def open_vae(path: Path) -> tuple[ModelSpec, FlatTree] | None:
    """An autoencoder alone: a spec with it, and its tensors by path; None for a whole model.

    Raises:
      ValueError: a file of another kind.
    """
    tensors, _ = open_weights(path)
    if any(name.startswith(UNET) for name in tensors):
        return None
    if "decoder.mid_block.resnets.0.conv1.weight" in tensors:
        tree = PARTS[VAE_CLASS].fill(VAE_SD, tensors, str(path))
        return replace(SD1, vae=VAE_SD), tree
    named = {name if name.startswith(VAE) else VAE + name: own for name, own in tensors.items()}
    if f"{VAE}decoder.conv_in.weight" not in named:
        raise ValueError(f"{path} is {kind_of(tensors)}, not an autoencoder")
    spec = replace(SD1, vae=vae_of(named, VAE_SD, stated_statistics(tensors)))
    shapes = vae_parameters(spec.vae)
    slots = single_file_slots("vae", spec, shapes)
    own = {slot.name for slot in slots}
    known = {name: tensor for name, tensor in named.items() if name in own}
    return spec, fill(slots, shapes, known, str(path))


def open_texts(paths: Sequence[Path]) -> tuple[ModelSpec, list[FlatTree]]:
    """Text encoders alone, in transformers' names: the spec of their family, and their tensors.

    Raises:
      ValueError: a file of another kind, or encoders of no family together.
    """
    found: dict[int, tuple[Path, FlatTree]] = {}
    for path in paths:
        tensors, _ = open_weights(path)
        table = tensors.get(_TOKENS)
        if table is None or len(table.shape) != 2:
            raise ValueError(
                printable(f"{path} is {kind_of(tensors)}; a text encoder in transformers' names")
                + " has text_model.embeddings.token_embedding.weight"
            )
        found[table.shape[1]] = path, tensors
    for spec in (SD1, SD2, SDXL, SDXL_REFINER):
        if [text.width for text in spec.text] == sorted(found):
            break
    else:
        widths = " and ".join(map(str, sorted(found)))
        raise ValueError(f"no family has text encoders {widths} wide together, of one file each")
    trees = []
    for text in spec.text:
        path, tensors = found[text.width]
        part = PARTS[PROJECTED_TEXT if text.projection_dim else TEXT]
        trees.append(part.fill(text, tensors, str(path)))
    return spec, trees
