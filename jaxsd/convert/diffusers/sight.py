"""The parts of diffusers' folders by which a model sees a picture: unCLIP, image variations."""

from pathlib import Path
from typing import Any

from jaxsd.config import ModelSpec, SightConfig
from jaxsd.convert.diffusers.fields import read_json
from jaxsd.convert.diffusers.parts import NORMALIZER, PROJECTED_VISION, StoredPart, open_part
from jaxsd.convert.diffusers.schedule_settings import low_res_settings, schedule_config
from jaxsd.convert.diffusers.vision_settings import preparation
from jaxsd.convert.files.output import write_json

UNCLIP, VARIATION = "StableUnCLIPImg2ImgPipeline", "StableDiffusionImageVariationPipeline"
OF_TEXT = "StableUnCLIPPipeline"
"""unCLIP whose pictures' embeddings a prior makes of texts."""
_NOISE = "image_noising_scheduler"


def open_sight(
    folder: Path, kind: str, *, strict: bool
) -> tuple[SightConfig | None, tuple[StoredPart, ...]]:
    """How a model of a folder sees a picture, and its networks for that; none of most models.

    Args:
      folder: of the model.
      kind: class of its pipeline.
      strict: as in `slots.fill`.

    Raises:
      ValueError: a part is missing, damaged or not supported.
    """
    if kind == OF_TEXT:
        raise ValueError(
            f"{folder} is a {kind}, whose prior makes of a text what is seen of a picture, and "
            f"that is not here; take the folder of a {UNCLIP}"
        )
    if kind not in (UNCLIP, VARIATION):
        return None, ()
    vision = open_part(PROJECTED_VISION, folder / "image_encoder", strict=strict)
    if kind == VARIATION:
        return SightConfig(vision.config), (vision,)
    normalizer = open_part(NORMALIZER, folder / "image_normalizer", strict=strict)
    if normalizer.config != vision.config.projection_dim:
        raise ValueError(
            f"{folder}: image_normalizer is of embeddings {normalizer.config} wide, and "
            f"image_encoder makes {vision.config.projection_dim}"
        )
    where = folder / _NOISE / "scheduler_config.json"
    noise, _ = schedule_config(read_json(where), str(where))
    return SightConfig(vision.config, noise), (vision, normalizer)


def sight_index(spec: ModelSpec) -> dict[str, Any]:
    """What model_index.json says of these parts, and of the pipeline."""
    index: dict[str, Any] = {
        "feature_extractor": ["transformers", "CLIPImageProcessor"],
        "image_encoder": ["transformers", PROJECTED_VISION],
    }
    if spec.sight.noise is None:
        return index | {"_class_name": VARIATION}
    return index | {
        "_class_name": UNCLIP,
        "image_normalizer": ["stable_diffusion", NORMALIZER],
        _NOISE: ["diffusers", "DDPMScheduler"],
    }


def write_sight(folder: Path, spec: ModelSpec) -> None:
    """Writes what says how pictures are prepared, and the noise in their embeddings."""
    settings = preparation(spec.sight.vision)
    write_json(folder / "feature_extractor" / "preprocessor_config.json", settings)
    if spec.sight.noise is not None:
        settings = low_res_settings(spec.sight.noise)
        write_json(folder / _NOISE / "scheduler_config.json", settings)
