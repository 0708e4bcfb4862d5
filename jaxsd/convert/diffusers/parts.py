"""The networks that diffusers and transformers have classes for, in one table.

To read or write another class, add a row: `open_part` and `save_part` then know it.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from jaxsd.config import ModelSpec
from jaxsd.convert.adapter_parameters import controlnet_parameters
from jaxsd.convert.diffusers.controlnet_settings import controlnet_config, controlnet_settings
from jaxsd.convert.diffusers.fields import Config, Fields, read_json
from jaxsd.convert.diffusers.maxdiffusion import config_file, weights_of
from jaxsd.convert.diffusers.names import (
    modern_projected_text,
    modern_text,
    modern_vae,
    modern_vision,
    text_slots,
    torch_class,
    vision_slots,
)
from jaxsd.convert.diffusers.text_settings import text_config, text_settings
from jaxsd.convert.diffusers.tiny_vae_settings import tiny_vae_config, tiny_vae_settings
from jaxsd.convert.diffusers.unet_settings import unet_config, unet_settings
from jaxsd.convert.diffusers.vae_settings import vae_config, vae_settings
from jaxsd.convert.diffusers.vision_settings import vision_config, vision_settings
from jaxsd.convert.files.output import new_folder, write_json
from jaxsd.convert.files.safetensors_file import Progress, silent, write_safetensors
from jaxsd.convert.files.tensors import FlatTree, flatten
from jaxsd.convert.layer_shapes import Shapes
from jaxsd.convert.names import torch_slots
from jaxsd.convert.parameters import (
    normalizer_parameters,
    text_parameters,
    tiny_vae_parameters,
    unet_parameters,
    vae_parameters,
    vision_parameters,
)
from jaxsd.convert.slots import Slot, fill, lay_out
from jaxsd.types import Params

UNET, CONTROLNET = "UNet2DConditionModel", "ControlNetModel"
VAE, TINY_VAE = "AutoencoderKL", "AutoencoderTiny"
TEXT, PROJECTED_TEXT = "CLIPTextModel", "CLIPTextModelWithProjection"
PROJECTED_VISION = "CLIPVisionModelWithProjection"
NORMALIZER = "StableUnCLIPImageNormalizer"


class Part(NamedTuple):
    """How one class of network is stored in a folder.

    Attributes:
      config: (config.json, its path, **facts) -> the network's numbers. Facts come from the rest of
        a model.
      settings: (numbers, **facts) -> config.json.
      shapes: numbers -> path -> shape of every parameter.
      slots: (shapes, linear=) -> where each parameter is in the file of weights.
      modern: a file's tensors -> the same under the names of `slots`.
      stem: name of the file of weights.
    """

    config: Callable[..., Any]
    settings: Callable[..., dict[str, Any]]
    shapes: Callable[[Any], Shapes]
    slots: Callable[..., list[Slot]] = torch_slots
    modern: Callable[[FlatTree], FlatTree] = dict
    stem: str = "diffusion_pytorch_model"

    def fill(
        self,
        config: Any,
        tensors: FlatTree,
        where: str,
        *,
        linear: bool = True,
        strict: bool | None = None,
    ) -> FlatTree:
        """Path -> parameter, from a file's tensors by name; `strict` as in `slots.fill`.

        Raises:
          Mismatch: if they are not exactly those of `config`.
        """
        shapes = self.shapes(config)
        slots = self.slots(shapes, linear=linear)
        return fill(slots, shapes, self.modern(tensors), where, strict=strict)


def _text(*, projected: bool) -> Part:
    config = partial(text_config, projected=projected)
    modern = modern_projected_text if projected else modern_text
    return Part(config, text_settings, text_parameters, text_slots, modern, "model")


def _normalizer_width(config: Config, where: str) -> int:
    return Fields(config, where).number("embedding_dim", 768)


def _normalizer_settings(width: int) -> dict[str, Any]:
    return {"_class_name": NORMALIZER, "embedding_dim": width}


def _same_names(shapes: Shapes, *, linear: bool) -> list[Slot]:
    return [Slot(path, path, "same") for path in shapes]


PARTS: dict[str, Part] = {
    UNET: Part(unet_config, unet_settings, unet_parameters),
    CONTROLNET: Part(controlnet_config, controlnet_settings, controlnet_parameters),
    VAE: Part(vae_config, vae_settings, vae_parameters, modern=modern_vae),
    TINY_VAE: Part(tiny_vae_config, tiny_vae_settings, tiny_vae_parameters),
    TEXT: _text(projected=False),
    PROJECTED_TEXT: _text(projected=True),
    PROJECTED_VISION: Part(
        vision_config, vision_settings, vision_parameters, vision_slots, modern_vision, "model"
    ),
    NORMALIZER: Part(_normalizer_width, _normalizer_settings, normalizer_parameters, _same_names),
}
"""Class in diffusers or transformers -> how its folder is read and written."""


class StoredPart(NamedTuple):
    """A network in a folder, opened: its numbers, its config.json, its parameters by path."""

    config: Any
    settings: Config
    tensors: FlatTree


def open_part(
    kind: str,
    folder: Path,
    *,
    weights: Path | None = None,
    non_ema: bool = False,
    strict: bool | None = None,
    **facts: Any,
) -> StoredPart:
    """Open the network in a folder without reading its weights.

    Args:
      kind: its class, of `PARTS`.
      weights: the folder of its weights, where that is another one.
      non_ema: as in `open_folder`.
      strict: as in `slots.fill`.
      facts: what its config.json does not say.

    Raises:
      ValueError: one line that says what is wrong with the folder.
    """
    where = config_file(folder)
    settings = read_json(where)
    found = settings.get("_class_name", kind)
    if torch_class(found) != kind:
        raise ValueError(f"{folder} is a {found}, not a{'n' * kind.startswith('A')} {kind}")
    config = PARTS[kind].config(settings, where=str(where), **facts)
    weights = weights or folder
    tensors = weights_of(weights, non_ema)
    linear = is_linear(settings)
    tree = PARTS[kind].fill(config, tensors, str(weights), linear=linear, strict=strict)
    return StoredPart(config, settings, tree)


def is_linear(settings: Config) -> bool:
    """Whether the transformers of a file begin and end with dense layers, as in `unet_kind`."""
    return Fields(settings, "config.json").switch("use_linear_projection", default=False)


def writer(
    kind: str, config: Any, tree: FlatTree, name: str, **facts: Any
) -> Callable[[Path, Progress], None]:
    """A function that writes a network into a folder, and reports the bytes.

    Args:
      tree: path -> parameter.
      name: what an error calls `tree`.

    Raises:
      ValueError: if diffusers cannot build it, or `tree` is not exactly its parameters.
    """
    part = PARTS[kind]
    settings, shapes = part.settings(config, **facts), part.shapes(config)
    slots = part.slots(shapes, linear=is_linear(settings))
    tensors = lay_out(slots, shapes, tree, name)

    def write(folder: Path, progress: Progress) -> None:
        write_json(folder / "config.json", settings)
        path = folder / f"{part.stem}.safetensors"
        write_safetensors(path, tensors, {"format": "pt"}, progress)

    return write


def save_part(
    folder: Path, kind: str, config: Any, params: Params, *, overwrite: bool, **facts: Any
) -> None:
    """Write a network alone, as a folder that diffusers loads. dtypes stay as they are.

    Raises:
      ValueError: as in `writer`.
      FileExistsError: if the folder exists and may not be overwritten.
    """
    write = writer(kind, config, flatten(params), f"the {kind}'s tree", **facts)
    with new_folder(folder, overwrite) as beside:
        write(beside, silent)


def networks(spec: ModelSpec) -> dict[str, tuple[str, Any]]:
    """Part, as in `parameters` -> class and numbers of each network of a model."""
    parts: dict[str, tuple[str, Any]] = {"unet": (UNET, spec.unet)}
    if spec.vae is not None:
        parts["vae"] = (VAE, spec.vae)
    if spec.sight is not None:
        parts["vision"] = (PROJECTED_VISION, spec.sight.vision)
        if spec.sight.noise is not None:
            parts["normalizer"] = (NORMALIZER, spec.sight.vision.projection_dim)
    for k, text in enumerate(spec.text):
        parts[f"text_{k}"] = (PROJECTED_TEXT if text.projection_dim else TEXT, text)
    return parts
