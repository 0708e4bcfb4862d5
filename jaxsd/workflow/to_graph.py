"""A recipe as a graph for ComfyUI: people leave with their work as they came."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxsd.schedulers.names import resolve
from jaxsd.schedulers.samplers import SAMPLERS
from jaxsd.settings import OPTIONS, Recipe, Settings
from jaxsd.settings.bank import composes
from jaxsd.workflow.levels import NAMED, SCHEDULER_NAMES

EXPRESSED = (
    *("prompt", "negative_prompt", "seed", "sampler", "steps", "guidance_scale", "width"),
    *("height", "image", "strength", "mask", "lora", "control", "clip_skip", "hires"),
    *("hires_strength", "hires_steps", "hires_upscaler", "freeu", "freeu_version", "pag"),
    *("sag", "sag_sigma"),
    *("batch_place", "noise", "prompt_weights", "preset", "image_guidance_scale", "vae_tile"),
)
"""Options that a graph has, or that change nothing where it is drawn."""


class Made:
    """A graph that grows node by node."""

    def __init__(self) -> None:
        self.table: dict[str, Any] = {}

    def add(self, kind: str, **inputs: Any) -> str:
        """Adds a node, and returns its id. Links are [id, output]."""
        name = str(len(self.table) + 1)
        self.table[name] = {"class_type": kind, "inputs": inputs}
        return name


def graph_of_recipe(recipe: Recipe) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The graph in the API's form, and what of the recipe it leaves out, as "NAME VALUE".

    Raises:
      ValueError: a sampler that ComfyUI does not have, or something that the recipe does not say.
    """
    settings = recipe.settings
    for name in ("sampler", "steps", "guidance_scale", "width", "height"):
        if getattr(settings, name) is None:
            raise ValueError(
                f"the picture does not say its {name}, without which there is no graph"
            )
    made = Made()
    source = made.add("CheckpointLoaderSimple", ckpt_name=Path(recipe.model).name or "model")
    model, clip, vae = ([source, i] for i in range(3))
    for lora in settings.lora:
        own = made.add(
            "LoraLoader",
            model=model,
            clip=clip,
            lora_name=Path(lora.file).name,
            **dict(zip(("strength_model", "strength_clip"), lora.weights, strict=True)),
        )
        model, clip = [own, 0], [own, 1]
    if settings.clip_skip and settings.clip_skip > 1:
        layer = made.add("CLIPSetLastLayer", clip=clip, stop_at_clip_layer=-settings.clip_skip)
        clip = [layer, 0]
    model = _with_features(made, settings, model)
    texts = [
        [made.add("CLIPTextEncode", text=text, clip=clip), 0]
        for text in (settings.prompt, settings.negative_prompt)
    ]
    texts = _with_controls(made, settings, texts)
    latent = _latent(made, settings, vae)
    sampler, scheduler = _sampler(settings)
    told = {"model": model, "positive": texts[0], "negative": texts[1], "seed": settings.seed}
    told |= {"cfg": settings.guidance_scale, "sampler_name": sampler, "scheduler": scheduler}
    strength = settings.strength if settings.image else 1.0
    first = _steps(settings.steps, strength)
    drawn = [made.add("KSampler", **told, latent_image=latent, **first), 0]
    if settings.hires > 1 and settings.hires_upscaler == "latent":
        larger = made.add(
            "LatentUpscaleBy", samples=drawn, upscale_method="bilinear", scale_by=settings.hires
        )
        second = _steps(settings.hires_steps or settings.steps, settings.hires_strength)
        drawn = [made.add("KSampler", **told, latent_image=[larger, 0], **second), 0]
    image = [made.add("VAEDecode", samples=drawn, vae=vae), 0]
    made.add("SaveImage", images=image, filename_prefix="jaxsd")
    return made.table, _left(settings)


def _steps(steps: int, strength: float) -> Mapping[str, Any]:
    """Steps and `denoise`: ComfyUI counts those that are taken, we those of the whole way."""
    return {"steps": max(1, int(steps * strength)), "denoise": strength}


def _latent(made: Made, settings: Settings, vae: list[Any]) -> list[Any]:
    size = {"width": settings.width, "height": settings.height}
    if not settings.image:
        return [made.add("EmptyLatentImage", **size, batch_size=1), 0]
    image = [made.add("LoadImage", image=Path(settings.image).name), 0]
    scaled = {"upscale_method": "lanczos", "crop": "center"} | size
    image = [made.add("ImageScale", image=image, **scaled), 0]
    latent = [made.add("VAEEncode", pixels=image, vae=vae), 0]
    if settings.mask:
        mask = [made.add("LoadImageMask", image=Path(settings.mask).name, channel="red"), 0]
        latent = [made.add("SetLatentNoiseMask", samples=latent, mask=mask), 0]
    return latent


def _with_features(made: Made, settings: Settings, model: list[Any]) -> list[Any]:
    if settings.freeu != OPTIONS["freeu"].default:
        factors = dict(zip(("b1", "b2", "s1", "s2"), settings.freeu, strict=True))
        kind = "FreeU_V2" if settings.freeu_version == 2 else "FreeU"
        model = [made.add(kind, model=model, **factors), 0]
    if settings.pag:
        model = [made.add("PerturbedAttentionGuidance", model=model, scale=settings.pag), 0]
    if settings.sag:
        blur = {"scale": settings.sag, "blur_sigma": settings.sag_sigma}
        model = [made.add("SelfAttentionGuidance", model=model, **blur), 0]
    return model


def _with_controls(made: Made, settings: Settings, texts: list[list[Any]]) -> list[list[Any]]:
    for one in settings.control:
        net = [made.add("ControlNetLoader", control_net_name=Path(one.model).name), 0]
        image = [made.add("LoadImage", image=Path(one.image).name), 0]
        own = made.add(
            "ControlNetApplyAdvanced",
            positive=texts[0],
            negative=texts[1],
            control_net=net,
            image=image,
            strength=one.weight,
            start_percent=one.first,
            end_percent=one.last,
        )
        texts = [[own, 0], [own, 1]]
    return texts


def _sampler(settings: Settings) -> tuple[str, str]:
    """ComfyUI's names of the sampler and the scheduler.

    Raises:
      ValueError: it has none such.
    """
    name, implied = resolve(settings.sampler, tuple(SAMPLERS))
    scheduler = implied.get("sigmas", "ddim_uniform" if name == "ddim" else "normal")
    theirs = {own.name: key for key, own in reversed(NAMED.items()) if not _is_plus(key)}
    theirs |= {"ddim": "ddim"}
    if settings.cfg_pp:
        theirs = {own.name: key for key, own in NAMED.items() if _is_plus(key)}
    if name not in theirs or scheduler not in SCHEDULER_NAMES:
        raise ValueError(f"ComfyUI has no sampler {settings.sampler!r}; take euler_karras, ...")
    return theirs[name], scheduler


def _is_plus(name: str) -> bool:
    return name.endswith("_cfg_pp")


def _left(settings: Settings) -> tuple[str, ...]:
    """What the graph does not say, and what ComfyUI does in another way."""
    left = [
        f"{name} {getattr(settings, name)}"
        for name, option in OPTIONS.items()
        if name not in EXPRESSED and getattr(settings, name) != option.default
    ]
    if settings.noise != "torch":
        left.append(f"noise {settings.noise} (ComfyUI draws torch's)")
    if settings.prompt_weights != "comfy" and any(s in settings.prompt for s in "([:"):
        left.append(f"prompt_weights {settings.prompt_weights} (ComfyUI has its own)")
    if composes(settings):
        left.append("AND in the prompt")
    if settings.hires > 1 and settings.hires_upscaler != "latent":
        left.append(f"hires by {settings.hires_upscaler}")
    return tuple(left)
