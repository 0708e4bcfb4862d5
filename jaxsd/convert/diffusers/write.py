"""Writing a model as a diffusers folder."""

from pathlib import Path
from typing import Any

from jaxsd.config import ModelSpec
from jaxsd.convert.diffusers.folder import part_folder
from jaxsd.convert.diffusers.parts import UNET, VAE, networks, writer
from jaxsd.convert.diffusers.schedule_settings import low_res_settings, scheduler_settings
from jaxsd.convert.diffusers.sight import sight_index, write_sight
from jaxsd.convert.files.output import new_folder, write_json
from jaxsd.convert.files.safetensors_file import Progress
from jaxsd.convert.stored_model import StoredModel
from jaxsd.text import write_tokenizer

_TASKS = {
    "": "",
    "mask": "Inpaint",
    "picture": "InstructPix2Pix",
    "depth": "Depth2Img",
    "small": "Upscale",
}
_DIFFUSERS = "0.42.1"
"""The release whose configs are written; diffusers needs one to load an inpainting model."""


def save_diffusers(
    folder: Path, model: StoredModel, *, overwrite: bool, progress: Progress
) -> None:
    """Write a model as a diffusers folder, one tensor at a time.

    Raises:
      ValueError: if the parameters are not those of the spec, or diffusers has no such model.
      FileExistsError: if the folder exists and is not a model that may be overwritten.
    """
    spec = model.spec
    writers = {
        part: writer(kind, config, model.tensors[part], f"the {part} tree", **_facts(part, spec))
        for part, (kind, config) in networks(spec).items()
    }
    tokenizers = model.tokenizers
    with new_folder(folder, overwrite) as beside:
        for part, write in writers.items():
            write(beside / part_folder(part, spec), progress)
        for k, tokenizer in enumerate(tokenizers):
            name = part_folder(f"text_{k}", spec).replace("text_encoder", "tokenizer")
            write_tokenizer(beside / name, tokenizer)
        write_json(beside / "scheduler" / "scheduler_config.json", scheduler_settings(spec))
        if spec.small is not None:
            noise = beside / "low_res_scheduler" / "scheduler_config.json"
            write_json(noise, low_res_settings(spec.small.schedule))
        if spec.sight is not None:
            write_sight(beside, spec)
        write_json(beside / "model_index.json", model_index(spec))


def _facts(part: str, spec: ModelSpec) -> dict[str, Any]:
    """What the config.json of a part says about the rest of the model."""
    if part == "unet":
        return {
            "linear_projection": spec.layout.linear_projection,
            "sample_size": spec.default_size // (spec.vae.downscale if spec.vae else 1),
            # SD 2.1's 768 pixel model overflows in half precision without it.
            "upcast_attention": spec.layout.single_file == "v2" and spec.prediction == "v",
        }
    return {"sample_size": spec.default_size} if part == "vae" else {}


def model_index(spec: ModelSpec) -> dict[str, Any]:
    """model_index.json: the pipeline's class and the class of each of its parts."""
    xl = spec.unet.added is not None
    refiner = spec.layout.single_file == "refiner"
    task = "Img2Img" if refiner else _TASKS[spec.unet.sees]
    index: dict[str, Any] = {
        "_class_name": f"StableDiffusion{'XL' if xl else ''}{task}Pipeline",
        "_diffusers_version": _DIFFUSERS,
        "scheduler": ["diffusers", scheduler_settings(spec)["_class_name"]],
        "unet": ["diffusers", UNET],
        "vae": ["diffusers", VAE] if spec.vae else [None, None],
        "feature_extractor": [None, None],
    }
    if xl:
        index |= {"text_encoder": [None, None], "tokenizer": [None, None]}
        index |= {"force_zeros_for_empty_prompt": spec.zero_empty_negative}
        if task in ("Img2Img", "Inpaint"):
            index |= {"requires_aesthetics_score": refiner}
        if task == "InstructPix2Pix":
            index |= {"is_cosxl_edit": spec.schedule.edm is not None}
    else:
        depth = spec.unet.sees == "depth"  # whose users give diffusers the network for it
        index |= {"depth_estimator": [None, None]} if depth else {"safety_checker": [None, None]}
        index |= {} if depth else {"requires_safety_checker": False}
    if spec.small is not None:
        index |= {"low_res_scheduler": ["diffusers", "DDPMScheduler"], "watermarker": [None, None]}
        index |= {"max_noise_level": spec.small.most}
        del index["requires_safety_checker"]
    if spec.sight is not None:
        index |= sight_index(spec)
        if spec.sight.noise is not None:
            del index["requires_safety_checker"], index["safety_checker"]
    for part, (kind, _) in networks(spec).items():
        if part.startswith("text_"):
            name = part_folder(part, spec)
            index[name] = ["transformers", kind]
            index[name.replace("text_encoder", "tokenizer")] = ["transformers", "CLIPTokenizer"]
    return index
