"""Nodes that read models, and that add LoRAs to them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import jax
import jax.numpy as jnp

from jaxsd.adapters.lora import merged_weights
from jaxsd.convert.alone import open_texts, open_unet, open_vae
from jaxsd.convert.hypernetwork import open_hypernetwork
from jaxsd.pipeline.adapting import merges_of
from jaxsd.pipeline.upscaling import Upscaler, load_upscaler
from jaxsd.settings import Lora
from jaxsd.text import clip_tokenizer
from jaxsd.workflow.networks import check_kind, loaded, parts_of, read_model, unet_of
from jaxsd.workflow.schema import Choice, InFolder, Range, node
from jaxsd.workflow.values import CLIP, CONTROL_NET, MODEL, Clip, ControlNet, Model, Vae
from jaxsd.workflow.workspace import Workspace

Strength = Annotated[float, Range(-100, 100)]
LoraName = Annotated[str, InFolder("loras")]
CheckpointName = Annotated[str, InFolder("checkpoints")]


@node("CheckpointLoaderSimple", "MODEL", "CLIP", "VAE")
def checkpoint_loader_simple(
    place: Workspace, *, ckpt_name: CheckpointName
) -> tuple[Model, Clip, Vae]:
    """The three parts of a checkpoint."""
    source = place.model("checkpoints", ckpt_name)
    if (pipe := place.opened(source)) is None:
        return read_model(source, place.dtype, place.programs, place.reading)
    check_kind(pipe.spec, source)
    return parts_of(pipe)


@node("CheckpointLoader", "MODEL", "CLIP", "VAE")
def checkpoint_loader(
    place: Workspace, *, config_name: str = "", ckpt_name: CheckpointName
) -> tuple[Model, Clip, Vae]:
    """The same; what the file holds is told from its tensors, not from a configuration."""
    return checkpoint_loader_simple(place, ckpt_name=ckpt_name)


@node("DiffusersLoader", "MODEL", "CLIP", "VAE")
def diffusers_loader(
    place: Workspace, *, model_path: Annotated[str, InFolder("diffusers")]
) -> tuple[Model, Clip, Vae]:
    """The three parts of a folder of diffusers."""
    return read_model(
        place.model("diffusers", model_path), place.dtype, place.programs, place.reading
    )


@node("UNETLoader", "MODEL")
def unet_loader(
    place: Workspace,
    *,
    unet_name: Annotated[str, InFolder("diffusion_models")],
    weight_dtype: Literal["default", "fp8_e4m3fn", "fp8_e4m3fn_fast", "fp8_e5m2"] = "default",
) -> Model:
    """A U-Net by itself, or that of a whole model. Weights keep the file's 16 bits."""
    source = place.model("diffusion_models", unet_name)
    if not Path(source).is_file() or (found := open_unet(Path(source))) is None:
        return read_model(source, place.dtype, place.programs, place.reading)[0]
    spec, tensors = found
    check_kind(spec, source)
    return unet_of(spec, loaded(tensors, place.dtype, "unet"), place.programs, place.computes_in)


@node("VAELoader", "VAE")
def vae_loader(place: Workspace, *, vae_name: Annotated[str, InFolder("vae")]) -> Vae:
    """An autoencoder by itself, or that of a whole model."""
    source = place.model("vae", vae_name)
    if not Path(source).is_file() or (found := open_vae(Path(source))) is None:
        return read_model(source, place.dtype, place.programs, place.reading)[2]
    spec, tensors = found
    return Vae(spec, loaded(tensors, place.dtype, "vae"), place.programs, place.computes_in)


@node("CLIPLoader", "CLIP")
def clip_loader(
    place: Workspace,
    *,
    clip_name: Annotated[str, InFolder("text_encoders")],
    type: Literal["stable_diffusion"] = "stable_diffusion",
    device: Literal["default", "cpu"] = "default",
) -> Clip:
    """The text encoder of SD 1, of SD 2 or of XL's refiner by itself: its size says which."""
    return _clip(place, [clip_name])


@node("DualCLIPLoader", "CLIP")
def dual_clip_loader(
    place: Workspace,
    *,
    clip_name1: Annotated[str, InFolder("text_encoders")],
    clip_name2: Annotated[str, InFolder("text_encoders")],
    type: Literal["sdxl"],
    device: Literal["default", "cpu"] = "default",
) -> Clip:
    """Both text encoders of XL, in any order."""
    return _clip(place, [clip_name1, clip_name2])


def _clip(place: Workspace, names: Sequence[str]) -> Clip:
    files = [Path(place.model("text_encoders", name)) for name in names]
    spec, trees = open_texts(files)
    named = ((f"text/{i}", tree) for i, tree in enumerate(trees))
    params = {"text": [loaded(tree, place.dtype, part) for part, tree in named]}
    tokenizers = tuple(clip_tokenizer(text) for text in spec.text)
    return Clip(spec, params, tokenizers, place.programs, place.computes_in)


@node("LoraLoader", "MODEL", "CLIP")
def lora_loader(
    place: Workspace,
    *,
    model: MODEL,
    clip: CLIP,
    lora_name: LoraName,
    strength_model: Strength = 1.0,
    strength_clip: Strength = 1.0,
) -> tuple[Model, Clip]:
    """A LoRA, or another kind of adapter, merged into both."""
    made = lora_loader_model_only(
        place, model=model, lora_name=lora_name, strength_model=strength_model
    )
    if not strength_clip:
        return made, clip
    spec = replace(model.spec, text=clip.spec.text)
    loras = merges_of([Lora(place.model("loras", lora_name), 1.0, strength_clip)], spec)
    return made, replace(clip, params=merged_weights(clip.params, loras))


@node("LoraLoaderModelOnly", "MODEL")
def lora_loader_model_only(
    place: Workspace, *, model: MODEL, lora_name: LoraName, strength_model: Strength = 1.0
) -> Model:
    """A LoRA merged into the U-Net."""
    if not strength_model:
        return model
    loras = merges_of([Lora(place.model("loras", lora_name), strength_model, 0.0)], model.spec)
    return replace(model, params=merged_weights({"unet": model.params}, loras)["unet"])


@node("HypernetworkLoader", "MODEL")
def hypernetwork_loader(
    place: Workspace,
    *,
    model: MODEL,
    hypernetwork_name: Annotated[str, InFolder("hypernetworks")],
    strength: Annotated[float, Range(-10, 10)] = 1.0,
) -> Model:
    """The model with a hypernetwork behind those that it has.

    Raises:
      ValueError: one that knows none of the model's widths.
    """
    source, unet = place.model("hypernetworks", hypernetwork_name), model.spec.unet
    config, trees = open_hypernetwork(Path(source))
    widths = {str(one) for one in (unet.context_dim, *(level.channels for level in unet.levels))}
    if widths.isdisjoint(trees):
        raise ValueError(
            f"{source} is for tokens of {', '.join(trees)} numbers, and the model's have "
            f"{', '.join(sorted(widths, key=int))}; take one that was trained with it"
        )
    params = jax.tree.map(lambda tensor: jnp.asarray(tensor.read(), jnp.float32), trees)
    return replace(model, hypernets=(*model.hypernets, (config, params, strength)))


@node("ControlNetLoader", "CONTROL_NET")
def control_net_loader(
    place: Workspace, *, control_net_name: Annotated[str, InFolder("controlnet")]
) -> ControlNet:
    """A ControlNet or T2I-Adapter; it is read when the U-Net that it is for is known."""
    return ControlNet(place.model("controlnet", control_net_name))


@node("DiffControlNetLoader", "CONTROL_NET")
def diff_control_net_loader(
    place: Workspace,
    *,
    model: MODEL,
    control_net_name: Annotated[str, InFolder("controlnet")],
) -> ControlNet:
    """The same; a file of differences is added to the U-Net that it is used with."""
    return control_net_loader(place, control_net_name=control_net_name)


UNION_TYPES = {
    "openpose": 0,
    "depth": 1,
    "hed/pidi/scribble/ted": 2,
    "canny/lineart/anime_lineart/mlsd": 3,
    "normal": 4,
    "segment": 5,
    "tile": 6,
    "repaint": 7,
}
"""ComfyUI's names of the kinds of pictures of a ControlNet-Union."""


@node("SetUnionControlNetType", "CONTROL_NET")
def set_union_control_net_type(
    *, control_net: CONTROL_NET, type: Annotated[str, Choice(("auto", *UNION_TYPES))]
) -> ControlNet:
    """Says which kind of picture a ControlNet-Union sees.

    Raises:
      ValueError: "auto", which tells it nothing.
    """
    if type == "auto":
        raise ValueError(f"type auto is not here; give one of {', '.join(UNION_TYPES)}")
    return replace(control_net, kind=UNION_TYPES[type])


@node("UpscaleModelLoader", "UPSCALE_MODEL")
def upscale_model_loader(
    place: Workspace, *, model_name: Annotated[str, InFolder("upscale_models")]
) -> Upscaler:
    """A network that enlarges pictures."""
    return load_upscaler(
        place.model("upscale_models", model_name), place.computes_in, run=place.programs
    )
