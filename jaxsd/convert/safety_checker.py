"""The safety checker of diffusers' folders: CLIP's vision tower, and embeddings of concepts."""

from pathlib import Path
from typing import NamedTuple

from jaxsd.config import VisionConfig
from jaxsd.convert.diffusers.fields import read_json
from jaxsd.convert.diffusers.parts import PARTS, PROJECTED_VISION
from jaxsd.convert.diffusers.text_settings import tower
from jaxsd.convert.files.tensors import DTYPES, FlatTree, cast
from jaxsd.convert.files.weight_files import open_folder
from jaxsd.convert.kinds import kind_of
from jaxsd.convert.layers_model import NAME, read_layers_model

CONCEPTS = ("concept_embeds", "concept_embeds_weights")
"""Embeddings [n, c] that pictures are compared with, and the cosines [n] that are too much."""
SPECIAL = ("special_care_embeds", "special_care_embeds_weights")
"""The same of those that make the others stricter."""
_NESTED = "vision_model.vision_model."  # transformers before 5


class StoredChecker(NamedTuple):
    """A safety checker, of which no weight is read yet; all is to be float32."""

    config: VisionConfig
    vision: FlatTree  # the tower, by path
    concepts: FlatTree  # `CONCEPTS` and `SPECIAL`, by name


def check_checker(folder: Path) -> None:
    """Finds out whether a folder has a checker: this one, or a model of nsfwjs.

    Raises:
      ValueError: it has none, or one that is not read.
      OSError: there is no such folder, or a file is missing.
    """
    (read_layers_model if (folder / NAME).is_file() else open_safety_checker)(folder)


def open_safety_checker(folder: Path) -> StoredChecker:
    """The safety checker in a folder that diffusers' `StableDiffusionSafetyChecker` wrote.

    Raises:
      ValueError: one line that says what is wrong with the folder.
      FileNotFoundError: there is no such folder.
    """
    if not folder.is_dir():
        raise FileNotFoundError(
            f"no safety checker at {folder}; it is the folder safety_checker of a diffusers model "
            "of SD 1, or one with model.json of nsfwjs"
        )
    where = folder / "config.json"
    config = PARTS[PROJECTED_VISION].config(
        tower(read_json(where), "vision_config", str(where)), where=str(where)
    )
    tensors = {
        name: cast(tensor, DTYPES["float32"], name) for name, tensor in open_folder(folder).items()
    }
    concepts = {name: tensors.pop(name) for name in (*CONCEPTS, *SPECIAL) if name in tensors}
    for embeddings, thresholds in (CONCEPTS, SPECIAL):
        if not {embeddings, thresholds} <= concepts.keys():
            raise ValueError(
                f"{folder} is {kind_of(tensors)}, and no safety checker, which has {embeddings} "
                f"and {thresholds}"
            )
        count = concepts[thresholds].shape[0]
        if concepts[embeddings].shape != (count, config.projection_dim):
            raise ValueError(
                f"{folder}: {embeddings} is {list(concepts[embeddings].shape)} instead of "
                f"{[count, config.projection_dim]}"
            )
    if any(name.startswith(_NESTED) for name in tensors):
        tensors = {
            name.replace(_NESTED, "vision_model.", 1): tensor for name, tensor in tensors.items()
        }
    vision = PARTS[PROJECTED_VISION].fill(config, tensors, str(folder))
    return StoredChecker(config, vision, concepts)
