"""Reading and laying out single files (`.safetensors`, `.ckpt`) of SD 1, 2, XL, refiner, unCLIP.

These parts of a file are not the model, and are neither kept nor written back: the noise schedule's
tables, the other set of U-Net weights where there are two, loss networks, `logit_scale`, SD 2's
`text_projection` and its 24th text layer, whose output nothing uses (files without it exist, and
webui, ComfyUI and diffusers load them). Position ids are added when a file is written. Everything
else stays the same bit for bit. Files written here carry their spec as metadata.
"""

import re
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np

from jaxsd.config import ModelSpec
from jaxsd.convert.files.output import check_free
from jaxsd.convert.files.safetensors_file import Progress, write_safetensors
from jaxsd.convert.files.tensors import FlatTree, in_memory, without
from jaxsd.convert.files.weight_files import open_weights
from jaxsd.convert.kinds import kind_of
from jaxsd.convert.layer_shapes import Shapes
from jaxsd.convert.original.names import NORMALIZER, TEXT, UNET, VAE, VISION, single_file_slots
from jaxsd.convert.original.sdcpp_names import renaming
from jaxsd.convert.original.sight import with_statistics
from jaxsd.convert.original.spec import spec_of
from jaxsd.convert.original.spec_json import KEY, from_json, to_json
from jaxsd.convert.original.stated import markers
from jaxsd.convert.parameters import parameters
from jaxsd.convert.slots import Slot, fill, lay_out, tell_unused
from jaxsd.convert.stored_model import StoredModel, check_together, family_name
from jaxsd.terminal import printable
from jaxsd.types import Prediction

_CONDITIONER = r"(cond_stage_model|conditioner\.embedders\.\d+)\."
_NO_PARAMETER = re.compile(
    # The noise schedule, what training leaves behind, and MiDaS in depth-to-image models.
    r"^(betas|alphas_cumprod|sqrt_|posterior_|log_one_minus_|logvar|lvlb_weights|denoiser\.|v_pred$"
    r"|ztsnr$|edm_(mean|std|vpred\.sigma_(min|max))$|low_scale_model\.|model_ema\.|depth_model\."
    r"|embedding_manager\.|first_stage_model\.(loss|model_ema)\."
    # Buffers of text encoders, and CLIP's other half, which no image depends on.
    rf"|{_CONDITIONER}.*(position_ids|attn_mask)$"
    rf"|{_CONDITIONER}(.*\.)?(vision_model|visual|visual_projection)\."
    rf"|{_CONDITIONER}(.*\.)?(logit_scale|text_projection(\.weight)?)$"
    # unCLIP: the rest of the CLIP that sees, and tables of noise.
    rf"|embedder\.(?!model\.visual\.)|noise_augmentor\.(?!data_))"
)
"""Tensors of real files that are no parameters; they are not kept."""

_PARTS = (UNET, VAE, "cond_stage_model.", "conditioner.", VISION, NORMALIZER)
"""What the names of a model's parts begin with."""

_ALIASES = (
    # transformers' encoder without its outer module, as some tools save it.
    (
        re.compile(r"^(.*\.transformer\.)(?=(embeddings|encoder|final_layer_norm)\.)"),
        r"\1text_model.",
    ),
    (re.compile(r"^vae\."), VAE),
    (re.compile(r"\.to_out\.(?=(weight|bias)$)"), ".to_out.0."),
)
_SGM = "conditioner.embedders.0.model."


def _usual_names(tensors: FlatTree) -> FlatTree:
    """A file's tensors under the names of the original code, where tools have renamed them."""
    named: FlatTree = {}
    own = renaming(tensors)
    for name, tensor in tensors.items():
        name = own(name)
        for pattern, replacement in _ALIASES:
            name = pattern.sub(replacement, name)
        if name in named:
            raise ValueError(f"it has {name} twice, under two spellings")
        named[name] = tensor
    if f"{UNET}label_emb.0.0.weight" not in named:
        # SD 2 as Stability's later code saves it; with label_emb it is the refiner.
        named = {
            name.replace(_SGM, TEXT["v2"][0], 1) if name.startswith(_SGM) else name: tensor
            for name, tensor in named.items()
        }
    for prefix in (_SGM, "conditioner.embedders.1.model."):
        layer = named.get(f"{prefix}text_projection.weight")  # [out, in], where others have x @ it
        if layer is not None:
            named[f"{prefix}text_projection"] = layer.transformed(layer.shape[::-1], np.transpose)
    return named


def _choose_ema(path: Path, tensors: FlatTree, ema: bool | None) -> tuple[FlatTree, str]:
    """The file's tensors with the wanted U-Net under its usual names, and a word for which it is.

    The average of training lies under the U-Net's names without dots.
    """
    averaged = {
        name: tensors.get("model_ema." + name.removeprefix("model.").replace(".", ""))
        for name in tensors
        if name.startswith(UNET)
    }
    found = [tensor for tensor in averaged.values() if tensor is not None]
    if not found and ema is not None:
        raise ValueError("it has one set of U-Net weights, not an average too; leave out ema")
    if not found:
        return tensors, "single file"
    if ema is False:
        return tensors, "single file, weights without averaging chosen"
    missing = len(averaged) - len(found)
    if missing and ema:
        raise ValueError(f"its averaged U-Net lacks {missing} tensors; leave out ema")
    if missing:
        line = f"{path}: its averaged U-Net lacks {missing} tensors, so the other one is read"
        warnings.warn(printable(line), stacklevel=2)
        return tensors, "single file, incomplete average left aside"
    return tensors | averaged, "single file, averaged weights (EMA) chosen"


def table(spec: ModelSpec) -> tuple[list[Slot], Shapes]:
    """Slots and shapes of a whole single file; paths begin with the part."""
    slots: list[Slot] = []
    shapes: Shapes = {}
    for part, own in parameters(spec).items():
        slots += [
            slot._replace(path=f"{part}/{slot.path}") for slot in single_file_slots(part, spec, own)
        ]
        shapes |= {f"{part}/{path}": shape for path, shape in own.items()}
    return slots, shapes


def open_single_file(
    path: Path,
    ema: bool | None = None,
    prediction: Prediction | None = None,
    *,
    strict: bool = True,
) -> StoredModel:
    """Open a single file.

    `ema` says which U-Net to read where the file has two: the average of training (`None` and
    `True`), or the last (`False`). `prediction` overrules what the file says. `strict` is as in
    `open_model`.

    Raises:
      ValueError: if it is not a whole model of a kind that is supported, or damaged.
    """
    stored, facts = open_weights(path)
    if f"{UNET}input_blocks.0.0.weight" not in stored:
        raise ValueError(f"{path} is {kind_of(stored)}, not a whole model of SD 1, 2 or XL")
    try:
        tensors, files = _choose_ema(path, _usual_names(stored), ema)
        spec = _spec(tensors, facts, prediction)
        if spec.sight is not None:
            tensors = with_statistics(tensors, spec.sight, str(path))
        model = model_of(tensors, spec, str(path), strict=strict)
        check_together(model.spec)
    except ValueError as error:
        raise ValueError(printable(f"{path} cannot be read as a model: {error}")) from error
    return replace(model, files=files, facts=facts)


def _spec(tensors: FlatTree, facts: dict[str, str], prediction: Prediction | None) -> ModelSpec:
    if KEY not in facts:
        return spec_of(tensors, facts, prediction)
    spec = from_json(facts[KEY])
    if len(spec.text) != len(TEXT[spec.layout.single_file]):
        naming = spec.layout.single_file
        raise ValueError(f"{KEY}: {len(spec.text)} text encoders are not those of {naming} files")
    if prediction is None:
        return spec
    family = family_name(spec.unet, prediction, spec.schedule.edm)
    return replace(spec, prediction=prediction, family=family)


def model_of(
    tensors: FlatTree, spec: ModelSpec, where: str = "the file", *, strict: bool = True
) -> StoredModel:
    """The model that consists of a single file's tensors.

    Tensors of parts that no model here has are left aside, with a line that begins with `where`.

    Raises:
      Mismatch: if they are not exactly those of the spec, apart from known non-parameters.
    """
    slots, shapes = table(spec)
    names = {slot.name for slot in slots}
    tensors = {
        name: tensor
        for name, tensor in tensors.items()
        if name in names or not (_NO_PARAMETER.search(name) or _beyond(name, spec))
    }
    strays = [name for name in tensors if not name.startswith(_PARTS)]
    tell_unused(where, strays)
    own = without(tensors, strays)
    tree = fill(slots, shapes, own, f"as {spec.family} it", strict=strict, file=where)
    parts = {part: _below(tree, part) for part in parameters(spec)}
    return StoredModel(spec=spec, tensors=parts)


def _beyond(name: str, spec: ModelSpec) -> bool:
    """Whether a tensor is of OpenCLIP-H's last layer, which SD 2 does not use."""
    layer = f"{TEXT['v2'][0]}transformer.resblocks.{spec.text[0].layers}."
    return spec.layout.single_file == "v2" and name.startswith(layer)


def _below(tree: FlatTree, part: str) -> FlatTree:
    prefix = f"{part}/"
    return {
        path.removeprefix(prefix): tensor
        for path, tensor in tree.items()
        if path.startswith(prefix)
    }


def single_file_tensors(model: StoredModel) -> tuple[FlatTree, dict[str, str]]:
    """The tensors and the metadata of the single file of a model.

    Position ids are added, because some readers want them. So are the tensors that tell readers of
    an XL model's noise and prediction.

    Raises:
      ValueError: if the parameters are not those of the spec.
    """
    spec = model.spec
    if not spec.text:
        raise ValueError(
            "a model that sees a picture in place of a text is written as a folder alone; give a "
            "name without .safetensors"
        )
    slots, shapes = table(spec)
    tree = {
        f"{part}/{path}": tensor
        for part, tensors in model.tensors.items()
        for path, tensor in tensors.items()
    }
    tensors = lay_out(slots, shapes, tree, "the parameter tree")
    for text, prefix in zip(spec.text, TEXT[spec.layout.single_file], strict=True):
        if prefix.endswith(".text_model."):
            ids = np.arange(text.max_length, dtype=np.int64)[None]
            tensors[f"{prefix}embeddings.position_ids"] = in_memory(ids)
    if spec.unet.added is not None:
        tensors |= {name: in_memory(array) for name, array in markers(spec).items()}
    metadata = {"format": "pt", KEY: to_json(spec), "modelspec.prediction_type": spec.prediction}
    return tensors, metadata


def save_single_file(
    path: Path, model: StoredModel, *, overwrite: bool, progress: Progress
) -> None:
    """Write a model as a single .safetensors file, one tensor at a time.

    Raises:
      ValueError: if the parameters are not those of the spec.
      FileExistsError: if the file exists and may not be overwritten.
    """
    check_free(path, overwrite)
    tensors, metadata = single_file_tensors(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_safetensors(path, tensors, metadata, progress)
