"""Checks of settings: what goes together, and what a model allows."""

import random
from dataclasses import replace
from typing import Any

from jaxsd.config import ModelSpec
from jaxsd.images.watermark import check_room
from jaxsd.settings.adapters import without_tags
from jaxsd.settings.bank import bank_of, composes
from jaxsd.settings.controls import runs_of
from jaxsd.settings.guiding import USUAL_PLUS_PLUS, check_guidance
from jaxsd.settings.inverting import check_inversion
from jaxsd.settings.options import NOT_IN_MOTION, NOT_IN_WINDOWS, NOT_INSIDE, OPTIONS, Settings
from jaxsd.settings.plans import adapters_of, passes_of, tableau_of, usual_layer
from jaxsd.settings.presets import with_preset
from jaxsd.settings.ranges import LARGEST_WEIGHT, in_range
from jaxsd.settings.regions import box_of
from jaxsd.text.variants import drawn

LEAST_TILE = 8
"""Latents along the side of a tile."""
IMAGE_GUIDANCE = 1.5
"""The scale that suits InstructPix2Pix."""
NOISE_LEVEL = 20
"""The noise in a small picture that suits the model that enlarges it."""


def checked(settings: Settings, spec: ModelSpec) -> Settings:
    """The settings with every option filled in.

    Only `in_range`, which this calls, checks ranges of options.

    Raises:
      ValueError: one line, for a value that is not allowed with this model.
    """
    settings = in_range(settings)
    _check_pictures(settings)
    if settings.source_prompt:
        check_inversion(settings, spec)
    filled = _filled(_with_variants(settings), spec)
    _check_adapters(filled)
    _check_texts(filled, spec)
    _check_seen(filled, spec)
    if spec.sight is not None:
        _check_sight(filled, spec)
    unit = spec.vae.downscale if spec.vae else 8
    for name in ("width", "height", "outpaint", "seed_resize"):
        _check_multiple(name, getattr(filled, name), unit)
    if filled.differential and spec.unet.in_channels > spec.unet.out_channels:
        raise ValueError("differential needs a model whose U-Net does not see the mask itself")
    _check_tile(filled.vae_tile, unit)
    if filled.seamless != "none":
        _check_seamless(filled, unit * 2 ** (len(spec.unet.levels) - 1))
    if any(filled.windows):
        _check_windows(filled, unit, unit * 2 ** (len(spec.unet.levels) - 1))
    if filled.hires > 1:
        _check_hires(filled, unit)
    if filled.refiner:
        _check_refiner(filled, spec)
    if filled.motion:
        _check_motion(filled, spec)
    else:
        for name in ("motion_context", "motion_loop", "motion_lora"):
            if getattr(filled, name) != OPTIONS[name].default:
                raise ValueError(f"{name} needs motion modules: motion")
    if filled.watermark:
        check_room(filled.watermark, *filled.final_size)
    for one in passes_of(filled):
        tableau = tableau_of(one, spec)
        check_guidance(one, spec, tableau)
        bank_of(one, tableau.rows, guided=True)
    return filled


def check_inside(settings: Settings) -> None:
    """Finds out whether the U-Net can be looked into while these are drawn.

    Raises:
      ValueError: another loop would draw them.
    """
    for name in NOT_INSIDE:
        if getattr(settings, name) != OPTIONS[name].default:
            raise ValueError(f"{name} does not go with looking into the U-Net; leave it out")


def _filled(settings: Settings, spec: ModelSpec) -> Settings:
    if settings.cfg_pp and settings.guidance_scale is None:
        settings = replace(settings, guidance_scale=USUAL_PLUS_PLUS)
    strength, changes = settings.strength, spec.unet.sees == "picture"
    if strength is None:
        sees = changes or spec.small or spec.sight
        begins = settings.image and not (settings.paints or settings.source_prompt or sees)
        strength = 0.75 if begins else 1.0
    noise_level = settings.noise_level
    if noise_level is None:
        noise_level = min(NOISE_LEVEL, spec.small.most) if spec.small else 0
    scale = settings.image_guidance_scale
    if scale is None:
        scale = IMAGE_GUIDANCE if changes else 1.0
    return replace(
        with_preset(settings, spec),
        strength=strength,
        image_guidance_scale=scale,
        noise_level=noise_level,
        clip_skip=settings.clip_skip or usual_layer(spec),
        width=spec.default_size if settings.width is None else settings.width,
        height=spec.default_size if settings.height is None else settings.height,
    )


def _with_variants(settings: Settings) -> Settings:
    """The settings with the variants of their prompts that the seed draws."""
    if settings.prompt_weights == "none":
        return settings
    chance = random.Random(settings.seed)
    names = ("prompt", "negative_prompt", "blend_prompt")
    texts = {name: drawn(getattr(settings, name), chance, settings.wildcards) for name in names}
    same = all(getattr(settings, name) == text for name, text in texts.items())
    return settings if same else replace(settings, **texts)


def _check_texts(settings: Settings, spec: ModelSpec) -> None:
    if settings.blend_strength and not settings.blend_prompt:
        raise ValueError(
            f"blend_strength {settings.blend_strength:g} needs a prompt to mix: give blend_prompt"
        )
    layers = min((text.layers for text in spec.text), default=1)
    if settings.clip_skip > layers:
        raise ValueError(
            f"clip_skip {settings.clip_skip} is out of range; this model's text encoder has "
            f"{layers} layers"
        )
    if composes(settings) and spec.unet.guidance_dim is not None:
        raise ValueError(
            "AND in a prompt needs a model with negative prompts, and this one takes the guidance "
            "scale as an input; prompt_weights none takes AND as a word"
        )


def _check_pictures(settings: Settings) -> None:
    for name in ("differential", "only_masked"):
        if getattr(settings, name) and not settings.mask:
            raise ValueError(f"{name} needs a mask")
    if settings.only_masked and any(settings.outpaint):
        raise ValueError("only_masked draws a part of the picture, and outpaint more; give one")
    box_of(settings.mask)
    if settings.image:
        if settings.strength == 0:
            raise ValueError("strength 0 draws nothing; give more than 0, up to 1")
        return
    for name, there in (
        ("mask", bool(settings.mask)),
        ("outpaint", any(settings.outpaint)),
        ("strength", settings.strength not in (None, 1)),
    ):
        if there:
            raise ValueError(f"{name} {getattr(settings, name)} needs an image to begin from")


def _check_seen(settings: Settings, spec: ModelSpec) -> None:
    sees = spec.unet.sees
    if settings.depth and sees != "depth":
        raise ValueError(
            f"depth {settings.depth!r} is for depth-to-image models, and this is {spec.family}; "
            "leave it out, or give it to a ControlNet"
        )
    if sees == "depth" and not settings.depth:
        raise ValueError(
            "this model sees how near things are; give a picture of that with depth, which other "
            "programs (MiDaS) make of a picture"
        )
    _check_small(settings, spec)
    if sees != "picture":
        if settings.image_guidance_scale != 1:
            raise ValueError(
                f"image_guidance_scale {settings.image_guidance_scale:g} is for InstructPix2Pix, "
                f"and this is {spec.family}; leave it out"
            )
    elif not settings.image:
        raise ValueError("this model changes a picture as the prompt tells; give an image")
    elif settings.strength < 1 and not settings.paints:
        raise ValueError(
            f"strength {settings.strength:g} is not for a model that changes a picture, which "
            "begins from noise; leave it out, and give image_guidance_scale"
        )


def _check_sight(settings: Settings, spec: ModelSpec) -> None:
    kind = "a model that draws variations of a picture"
    if not settings.image:
        raise ValueError(f"this is {kind}; give an image")
    noise = spec.sight.noise
    for name, there in (
        ("strength", settings.strength < 1),
        ("mask or outpaint", settings.paints),
        ("refiner", bool(settings.refiner)),
        ("noise", noise is not None and settings.noise != "jax"),
    ):
        if there:
            raise ValueError(f"{name} is not for {kind}; leave it out")
    if noise is not None and settings.noise_level >= noise.train_steps:
        raise ValueError(
            f"noise_level {settings.noise_level} is out of range; this model allows 0 to "
            f"{noise.train_steps - 1}"
        )
    words = ("prompt", "negative_prompt", "blend_prompt", "region", "embedding")
    if named := [name for name in words if getattr(settings, name) and not spec.text]:
        raise ValueError(
            f"{named[0]} is a text, and this model sees a picture in place of texts; leave it out"
        )


def _check_small(settings: Settings, spec: ModelSpec) -> None:
    if spec.small is None:
        if settings.noise_level and not (spec.sight and spec.sight.noise):
            raise ValueError(
                f"noise_level {settings.noise_level} is for models that enlarge a picture, or vary "
                f"one by unCLIP, and this is {spec.family}; leave it out"
            )
        return
    if not settings.image:
        raise ValueError("this model enlarges a picture; give an image")
    for name, there in (
        ("strength", settings.strength < 1),
        ("mask or outpaint", settings.paints),
        ("noise", settings.noise != "jax"),
    ):
        if there:
            raise ValueError(f"{name} is not for a model that enlarges a picture; leave it out")
    if settings.noise_level > spec.small.most:
        raise ValueError(
            f"noise_level {settings.noise_level} is out of range; this model allows 0 to "
            f"{spec.small.most}"
        )


def _check_adapters(settings: Settings) -> None:
    if settings.control_mode != "balanced" and not settings.control:
        raise ValueError(f"control_mode {settings.control_mode} needs a control")
    runs_of(settings.control, at_once=settings.union_at_once)
    for lora in adapters_of([settings]).lora:
        if not max(map(abs, lora.weights)) <= LARGEST_WEIGHT:
            allowed = f"{-LARGEST_WEIGHT} to {LARGEST_WEIGHT}"
            raise ValueError(f"lora {str(lora)!r} is out of range; allowed weights are {allowed}")
    for name in ("negative_prompt", "blend_prompt", "source_prompt"):
        if without_tags(getattr(settings, name))[1]:
            raise ValueError(f"{name} has <lora:...>, which belongs into the prompt")


def _check_hires(settings: Settings, unit: int) -> None:
    if settings.image:
        raise ValueError(
            f"hires {settings.hires:g} enlarges what was drawn of a prompt, and there is an image; "
            "give a larger size"
        )
    if settings.hires_strength == 0:
        raise ValueError("hires_strength 0 draws nothing; give more than 0, up to 1")
    for name, side in (("width", settings.width), ("height", settings.height)):
        if round(wide := side * settings.hires, 6) % unit:
            raise ValueError(
                f"hires {settings.hires:g} makes {wide:g} of {name} {side}, which is not a "
                f"multiple of {unit} pixels"
            )


def _check_seamless(settings: Settings, unit: int) -> None:
    if settings.vae_tile:
        raise ValueError("seamless needs the whole picture, and vae_tile cuts it; give one of them")
    for height, width in dict.fromkeys((settings.drawn_size, settings.final_size)):
        for along, name, side in (("x", "width", width), ("y", "height", height)):
            if along in settings.seamless and side % unit:
                raise ValueError(
                    f"{name} {side} is not a multiple of {unit} pixels, which seamless needs"
                )


def _check_windows(settings: Settings, pixels: int, unit: int) -> None:
    (size, over), least = settings.windows, LEAST_TILE * pixels
    if over >= size or size < least:
        raise ValueError(
            f"windows {size} {over} is out of range; allowed are 0 0, or SIZE of at least {least} "
            "and OVERLAP below SIZE"
        )
    for name in NOT_IN_WINDOWS:
        if getattr(settings, name) != OPTIONS[name].default:
            raise ValueError(f"windows and {name} do not go together; give one of them")
    (height, width), (tall, wide) = settings.drawn_size, settings.final_size
    for name, side in (
        ("windows SIZE", size),
        *(("width", side) for side in (width, wide)),
        *(("height", side) for side in (height, tall)),
    ):
        if side % unit:
            raise ValueError(
                f"{name} {side} is not a multiple of {unit} pixels, which windows need"
            )


def _check_tile(tile: int, unit: int) -> None:
    _check_multiple("vae_tile", tile, unit)
    if 0 < tile < (least := LEAST_TILE * unit):
        raise ValueError(f"vae_tile {tile} is out of range; allowed is 0, or at least {least}")


def _check_refiner(settings: Settings, spec: ModelSpec) -> None:
    for name, there in (("hires", settings.hires > 1), ("mask or outpaint", settings.paints)):
        if there:
            raise ValueError(f"refiner {settings.refiner!r} does not go with {name}; give one")
    if spec.unet.in_channels != spec.unet.out_channels:
        raise ValueError(
            f"refiner {settings.refiner!r} takes over from models of text alone, and this is "
            f"{spec.family}"
        )


def _check_motion(settings: Settings, spec: ModelSpec) -> None:
    length, over = settings.motion_context
    if not 0 <= over < length:
        raise ValueError(
            f"motion_context {length} {over} is out of range; allowed are LENGTH of 1 or more, "
            "and OVERLAP below LENGTH"
        )
    for name in NOT_IN_MOTION:
        if getattr(settings, name) != OPTIONS[name].default:
            raise ValueError(f"motion and {name} do not go together; give one of them")
    if spec.schedule.edm is not None:
        raise ValueError(f"motion modules were trained with other noise than {spec.family}'s")


def _check_multiple(name: str, value: Any, unit: int) -> None:
    for side in value if isinstance(value, tuple) else (value,):
        if side % unit:
            raise ValueError(f"{name} {side} is not a multiple of {unit} pixels")
