"""Where MaxDiffusion's checkpoints have what a folder of diffusers has.

A checkpoint of SD or XL is a folder of Orbax for each step. In it `NAME_config/metadata` is the
config.json of a network, and `NAME_state` its training state, as MaxDiffusion's own
`base_stable_diffusion_checkpointer.py` saves them. There is no tokenizer, only the name of one, so
CLIP's own is taken.
"""

from pathlib import Path
from typing import Any

from jaxsd.convert.diffusers.fields import Config, read_json
from jaxsd.convert.files.orbax_folder import read_orbax
from jaxsd.convert.files.tensors import FlatTree
from jaxsd.convert.files.weight_files import open_folder

_END, _EXCLAMATION = 49407, 0
"""What pads prompts: of CLIP by OpenAI the end, of OpenCLIP's "!"."""


def is_step(folder: Path) -> bool:
    """Whether a folder is one step of MaxDiffusion's."""
    return (folder / "unet_state").is_dir()


def last_step(folder: Path) -> Path:
    """The last step of a folder of MaxDiffusion's checkpoints; any other folder as it is."""
    steps = [path for path in folder.glob("[0-9]*") if path.name.isdigit() and is_step(path)]
    return max(steps, key=lambda path: int(path.name), default=folder)


def index_of(step: Path) -> dict[str, Any]:
    """What model_index.json would say of a step."""
    second = (step / "text_encoder_2_state").is_dir()
    index = {
        "_class_name": f"StableDiffusion{'XL' if second else ''}Pipeline",
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
        "text_encoder": ["transformers", "CLIPTextModel"],
    }
    if second:
        index["text_encoder_2"] = ["transformers", "CLIPTextModelWithProjection"]
    return index


def config_file(folder: Path) -> Path:
    """The file with the config.json of a part, which may be in a step: `STEP/unet`."""
    if is_step(folder.parent):
        return folder.with_name(f"{folder.name}_config") / "metadata"
    return folder / "config.json"


def scheduler_file(folder: Path) -> Path:
    """The file with the scheduler_config.json of a model."""
    if is_step(folder):
        return folder / "scheduler_config" / "metadata"
    return folder / "scheduler" / "scheduler_config.json"


def weights_of(folder: Path, non_ema: bool) -> FlatTree:
    """The tensors of a part, which may be in a step. Arguments and errors as of `open_folder`."""
    if is_step(folder.parent):
        return read_orbax(folder.with_name(f"{folder.name}_state"))
    return open_folder(folder, non_ema)


def padding(settings: Config) -> int:
    """The token that pads the prompts of a text encoder in a step, by its activation."""
    return _END if settings.get("hidden_act", "quick_gelu") == "quick_gelu" else _EXCLAMATION


def read_index(folder: Path) -> dict[str, Any]:
    """The model_index.json of a folder, or what stands for it.

    Raises:
      ValueError: there is none.
    """
    return index_of(folder) if is_step(folder) else read_json(folder / "model_index.json")
