"""What other programs say about a picture, as our settings, and what can not be said with them."""

import contextlib
import re
from collections.abc import Mapping
from typing import Any

from jaxsd.metadata.guidance import taken
from jaxsd.metadata.loras import with_loras
from jaxsd.metadata.made import Made
from jaxsd.schedulers import SAMPLERS
from jaxsd.schedulers.names import AUTOMATIC_OF_WEBUI, resolve
from jaxsd.terminal import printable

_SAME = {
    "Steps": "steps",
    "CFG scale": "guidance_scale",
    "Image CFG scale": "image_guidance_scale",
    "Seed": "seed",
    "Size": "size",
    "cfg_rescale_multiplier": "guidance_rescale",  # InvokeAI
    "CFG Rescale": "guidance_rescale",
    "CFG Rescale phi": "guidance_rescale",
    "CFG Rescale \u03c6": "guidance_rescale",
    "Denoising strength": "strength",
    "Mask blur": "mask_blur",
    "Variation seed": "variation_seed",
    "Variation seed strength": "variation_strength",
}
"""Name of a setting in `Made` -> ours."""
_PAIRS = {"resolution": ("size", "x"), "Seed resize from": ("seed_resize", " ")}
"""The same for pairs of numbers, however they are written; with what stands between ours."""
_UPSCALERS = {"latent": "latent", "lanczos": "lanczos"}
"""webui's upscalers of "hires. fix", in lower case -> ours. Its "Latent" is bilinear too."""
_NO_PIXELS = {
    *("Model", "Model hash", "Version", "Hashes", "VAE hash", "Created Date", "Civitai resources"),
    *("Civitai metadata", "Software", "App", "User", "Date", "Prompt format", "Template"),
    *("Negative Template", "SDCPP", "RNG", "rand_device", "Lora hashes", "TI hashes", "TE", "Unet"),
    *("aspectratio", "automaticvae", "generation_mode", "type", "metadata_scheme", "performance"),
    *("base_model_hash", "date", "generation_time", "prep_time", "created_by", "image_format"),
    *("Guidance", "aspect_ratio", "resize_steps"),  # of models without classifier-free guidance
}
"""Settings that change no pixel here, or that say again what others say."""
_NEUTRAL = {"", "0", "0.0", "false", "none", "null", "automatic", "[]", "{}", "-1"}
"""Values, in lower case, of settings that are not in use."""
_NEUTRAL_OF = {"images": {"1"}}

_NAMES = {"dpm++2m": "dpm++_2m"}
"""stable-diffusion.cpp's name of a sampler -> ours."""
_PLAIN = {"", "automatic", "default", "discrete", "uniform"}
"""Schedules that are the model's own."""


def expressed(
    made: Made, given: Mapping[str, object] = {}
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The settings that a picture tells, by our names, and what they leave out, as "NAME VALUE".

    Args:
      made: what the picture says.
      given: options of the user, which take the place of what it says.

    Raises:
      ValueError: the prompt or the sampler can not be told, or it was drawn from a picture, and
        the user does not give them.
    """
    if made.prompt is None and "prompt" not in given:
        raise ValueError("its prompt can not be told; give one")
    said = dict(made.settings)
    values: dict[str, Any] = {
        "prompt": made.prompt or "",
        "negative_prompt": made.negative_prompt or "",
    }
    values["prompt"], names = with_loras(
        values["prompt"],
        kept=bool(given.get("lora_folder")),
        text_first=made.program.startswith("webui"),
    )
    left = [f"LoRA {name}" for name in names]
    values |= taken(said) | _clip_skip(said, made.program)
    name, schedule = (said.pop(key, "") for key in ("Sampler", "Schedule type"))
    if "sampler" not in given:
        values["sampler"], unknown = _sampler(name, schedule.lower(), made.program)
        left += [f"schedule {unknown}"] if unknown else []
    if "Hires upscale" in said:
        hires, unknown = _hires(said)
        values |= hires
        left += unknown
    for name, value in said.items():
        if name in _SAME:
            values[_SAME[name]] = value
        elif name in _PAIRS:
            ours, between = _PAIRS[name]
            values[ours] = between.join(re.findall(r"\d+", value))
        elif name in _NO_PIXELS or value.lower() in _NEUTRAL | _NEUTRAL_OF.get(name, set()):
            continue
        elif name == "Eta" and 0 <= _number(value) <= 1:
            values["sampler_options"] = (f"eta={value}",)
        else:
            left.append(f"{name} {printable(value, 40)}")
    if _number(str(values.get("strength", 1))) >= 1:
        values.pop("strength", None)
    elif not given.get("image"):
        raise ValueError(
            f"it was drawn from another picture with strength {values['strength']}; give that one, "
            "--image FILE"
        )
    return values, tuple(left)


def _clip_skip(said: dict[str, str], program: str) -> dict[str, str]:
    """Takes the text encoder's layer out of the settings, counted from the last, which is 1.

    InvokeAI counts the layers that are left out; ComfyUI and SwarmUI count backwards from -1, which
    is the last layer of XL too. A 1 of the others is the model's own layer.
    """
    for name, sign, more in (
        ("Clip skip", 1, 1 if program.startswith("InvokeAI") else 0),
        ("stop_at_clip_layer", -1, 0),
        ("clipstopatlayer", -1, 0),
    ):
        layer = sign * _number(said.get(name, "")) + more
        if layer >= 1 and layer.is_integer():
            said.pop(name)
            return {"clip_skip": str(int(layer))} if layer > 1 or sign < 0 else {}
    return {}


def _hires(said: dict[str, str]) -> tuple[dict[str, str], list[str]]:
    """Takes the second pass out of webui's settings: ours, and an upscaler that is not here."""
    scale, steps, strength, upscaler = (
        said.pop(name, "")
        for name in ("Hires upscale", "Hires steps", "Denoising strength", "Hires upscaler")
    )
    if (known := _UPSCALERS.get(upscaler.lower())) is None:
        return {}, [f"Hires upscale {scale} by {printable(upscaler, 40)}"]
    values = {"hires": scale, "hires_upscaler": known}
    values |= {"hires_steps": steps} if steps else {}
    return values | ({"hires_strength": strength} if strength else {}), []


def _sampler(name: str, schedule: str, program: str) -> tuple[str, str]:
    """Our name of a sampler with its grid, and the schedule if it is not here.

    Raises:
      ValueError: no such sampler.
    """
    plain = name.lower().replace(" ", "_").removeprefix("sample_").removesuffix("_gpu")
    if plain.endswith("_k") or plain.endswith("_discrete"):  # InvokeAI's, and sd.cpp's
        plain, _, ending = plain.rpartition("_")
        schedule = "karras" if ending == "k" else ending
    known = tuple(SAMPLERS)
    try:
        ours, implied = resolve(_NAMES.get(plain, plain), known)
    except ValueError:
        raise ValueError(
            f"its sampler {name!r} is not here; give --sampler, one of {', '.join(known)}"
        ) from None
    if schedule == "automatic" and program.startswith("webui"):
        schedule = AUTOMATIC_OF_WEBUI.get(ours, "")
    if schedule in _PLAIN or implied:
        return "_".join((ours, *implied.values())), ""
    with contextlib.suppress(ValueError):
        if resolve(f"{ours}_{schedule}", known)[1]:
            return f"{ours}_{schedule}", ""
    return ours, schedule


def _number(text: str) -> float:
    """The number that a text is; not a number where it is none."""
    try:
        return float(text)
    except ValueError:
        return float("nan")
