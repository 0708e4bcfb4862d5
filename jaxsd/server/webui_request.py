"""webui's requests: its fields as options of ours, and what of them is not possible here.

A field that asks for something that is not here is named in the answer. One that would change the
whole picture, such as a ControlNet that is switched on, is refused.
"""

import secrets
from collections.abc import Mapping
from typing import Any, NamedTuple

from jaxsd.images import read_opaque_mask
from jaxsd.schedulers import options_of
from jaxsd.server.asking import Ask, urgency_of
from jaxsd.server.bodies import whole
from jaxsd.server.native import counted
from jaxsd.server.refusals import Refused
from jaxsd.server.service import Service
from jaxsd.server.webui_extensions import add_extensions
from jaxsd.server.webui_plot import MOST_IMAGES, SCRIPT, Names, Plot, plot_of
from jaxsd.server.webui_samplers import sampler_of
from jaxsd.server.wishes import Wish, wish_of, with_own_size
from jaxsd.settings import option_value

LIVES = 3600.0
"""Seconds that a request may take."""
SAME = {
    "prompt": "prompt",
    "negative_prompt": "negative_prompt",
    "steps": "steps",
    "cfg_scale": "guidance_scale",
    "width": "width",
    "height": "height",
}
"""Fields that are options of ours by another name."""
UNUSED: dict[str, tuple[Any, ...] | None] = {
    "do_not_save_samples": None,
    "do_not_save_grid": None,
    "save_images": (False,),
    "include_init_images": (False,),
    "override_settings_restore_afterwards": None,
    "disable_extra_networks": (False,),
    "comments": None,
    "restore_faces": (False,),
    "s_min_uncond": (0, 0.0),
    "s_churn": (0, 0.0),
    "s_tmin": (0, 0.0),
    "s_tmax": None,  # without churn it means nothing
    "s_noise": (1, 1.0),
    "firstphase_width": (0,),
    "firstphase_height": (0,),
    "firstpass_image": (),
    "hr_checkpoint_name": ("", "Use same checkpoint"),
    "hr_sampler_name": ("", "Use same sampler"),
    "hr_scheduler": ("", "Use same scheduler", "automatic"),
    "hr_prompt": ("",),
    "hr_negative_prompt": ("",),
    "hr_additional_modules": None,
    "initial_noise_multiplier": (1, 1.0, 0, 0.0),
    "latent_mask": ("",),
    "mask_round": None,
    "styles": ([],),
    "script_args": None,
    "infotext": ("",),
}
"""Fields that do nothing here -> their values that ask for nothing; None for all."""
TEXT_TO_IMAGE = ("enable_hr", "hr_scale", "hr_upscaler", "hr_second_pass_steps", "hr_resize_x",
                 "hr_resize_y")  # fmt: skip
IMAGE_TO_IMAGE = ("init_images", "mask", "mask_blur", "mask_blur_x", "mask_blur_y",
                  "inpainting_fill", "inpaint_full_res", "inpaint_full_res_padding",
                  "inpainting_mask_invert", "image_cfg_scale")  # fmt: skip
SOURCES = {"cpu": "torch", "nv": "cuda"}
"""webui's `randn_source` -> `noise`; that of an AMD or Intel GPU is not here."""


class Wanted(NamedTuple):
    """A request, understood."""

    ask: Ask
    values: Mapping[str, Any]  # as they came
    ignored: tuple[str, ...]
    task: str  # empty for none
    batch_size: int
    sends: bool
    plot: Plot | None = None


def wanted_of(
    service: Service, body: dict[str, Any], *, begins: bool, checkpoint: str | None = None
) -> Wanted:
    """What a request asks for.

    Args:
      service: has the models.
      body: of the request.
      begins: whether it begins from a picture.
      checkpoint: name of the model where it names none; None for the first one.

    Raises:
      Refused: a field that cannot be what it is.
      ValueError: an option that cannot.
    """
    values = {name: value for name, value in body.items() if value is not None}
    ignored: list[str] = []
    options: dict[str, Any] = {ours: values.pop(n) for n, ours in SAME.items() if n in values}
    sampler = values.pop("sampler_name", None) or values.get("sampler_index")
    values.pop("sampler_index", None)
    schedule = values.pop("scheduler", None)
    if name := sampler_of(sampler, schedule):
        options["sampler"] = name
    if (eta := values.pop("eta", None)) is not None:
        if name and "eta" in options_of(name):
            options["sampler_options"] = (f"eta={eta}",)
        elif eta not in (0, 1):  # what samplers without the option do
            ignored.append("eta")
    _seeds(values, options)
    if values.pop("tiling", False):
        options["seamless"] = "xy"
    title = _overrides(values.pop("override_settings", {}), options, ignored)
    model = model_of(service, title) or checkpoint
    _refines(values, options)
    strength = values.pop("denoising_strength", None)
    if begins:
        _begins(values, options, strength, ignored)
    else:
        _hires(values, options, strength)
    add_extensions(values.pop("alwayson_scripts", {}), options, ignored)
    batch_size = whole(values, "batch_size", 1, MOST_IMAGES)
    count = batch_size * whole(values, "n_iter", 1, MOST_IMAGES)
    if count > MOST_IMAGES:
        raise Refused(422, f"batch_size x n_iter is {count}; at most {MOST_IMAGES} are drawn")
    task, sends = str(values.pop("force_task_id", "")), bool(values.pop("send_images", True))
    resize_mode, urgency = values.pop("resize_mode", 0), urgency_of(values, LIVES)
    script = str(values.pop("script_name", "")).lower()
    if script not in ("", "none", SCRIPT):
        raise Refused(422, f"script {script!r} is not here", "script_not_found", "script_name")
    others = IMAGE_TO_IMAGE if not begins else TEXT_TO_IMAGE
    for name, value in values.items():
        harmless = UNUSED.get(name, ())
        if harmless is not None and value not in harmless and name not in others:
            ignored.append(name)
    inverts = options.pop("inverts", False)
    wish = _inverted(wish_of(options, service.base, read_opaque_mask), inverts)
    if resize_mode != 1 and _is_cut(wish):
        ignored.append("resize_mode")
    plot = None
    if script == SCRIPT:
        spec = service.model(model).spec
        own = with_own_size(wish, spec).settings
        names = Names(begins, schedule)
        plot = plot_of(body.get("script_args"), own, spec, names, ignored)
        ignored += ["batch_size and n_iter"] * (count > 1)
    each = counted(wish.settings, count) if plot is None else plot.grid.cells
    wishes = [wish._replace(settings=one) for one in each]
    ask = Ask(model, wishes, watched=True, **urgency)
    return Wanted(ask, body, tuple(dict.fromkeys(ignored)), task, batch_size, sends, plot)


def model_of(service: Service, title: str | None) -> str | None:
    """The name of a model that webui's clients call by its title, its name or its file."""
    if not title:
        return None
    plain = plain_title(title)
    return plain if plain in service.models else str(title)


def plain_title(title: Any) -> str:
    """A model's title without its hash and the ending of its file."""
    return str(title).partition(" [")[0].removesuffix(".safetensors").removesuffix(".ckpt")


def _seeds(values: dict[str, Any], options: dict[str, Any]) -> None:
    for theirs, ours in (("seed", "seed"), ("subseed", "variation_seed")):
        given = values.pop(theirs, -1)
        number = -1 if given in ("", -1) else option_value(ours, given)
        options[ours] = secrets.randbelow(2**32) if number < 0 else number
    options["variation_strength"] = values.pop("subseed_strength", 0.0)
    if not options["variation_strength"]:
        options["variation_seed"] = 0
    sides = [option_value("width", values.pop(f"seed_resize_from_{side}", 0)) for side in "wh"]
    if all((side or 0) > 0 for side in sides):
        options["seed_resize"] = sides


def _overrides(given: Any, options: dict[str, Any], ignored: list[str]) -> str | None:
    """Settings of webui's owner, of which few are those of a picture; returns the model's title."""
    if not isinstance(given, Mapping):
        raise Refused(422, "override_settings is not an object", param="override_settings")
    given = dict(given)
    if (skip := given.pop("CLIP_stop_at_last_layers", None)) is not None:
        options["clip_skip"] = skip
    source = given.get("randn_source")
    if isinstance(source, str) and source.lower() in SOURCES:
        options["noise"] = SOURCES[str(given.pop("randn_source")).lower()]
    title = given.pop("sd_model_checkpoint", None)
    ignored += [f"override_settings.{name}" for name in given]
    return title


def _refines(values: dict[str, Any], options: dict[str, Any]) -> None:
    """A model that takes over: in webui after a share of the steps, here of the way from noise."""
    name, share = (values.pop(f"refiner_{one}", None) for one in ("checkpoint", "switch_at"))
    if name in (None, "", "None") or share == 1:
        return
    options |= {"refiner": plain_title(name)} | ({} if share is None else {"refiner_start": share})


def _hires(values: dict[str, Any], options: dict[str, Any], strength: Any) -> None:
    said = {name: values.pop(name, None) for name in TEXT_TO_IMAGE}
    if not said["enable_hr"]:
        return
    scale = said["hr_scale"] or 2.0
    if wide := said["hr_resize_x"] or said["hr_resize_y"]:
        side = "width" if said["hr_resize_x"] else "height"
        if not options.get(side):
            raise Refused(422, f"hr_resize_{'xy'[side == 'height']} needs a {side}")
        scale = option_value(side, wide) / option_value(side, options[side])
    upscaler = str(said["hr_upscaler"] or "Latent").lower()
    if upscaler not in ("latent", "lanczos"):
        raise ValueError(f"hr_upscaler {said['hr_upscaler']!r} is not one of Latent, Lanczos")
    options |= {"hires": scale, "hires_upscaler": upscaler}
    options["hires_steps"] = said["hr_second_pass_steps"] or 0
    options["hires_strength"] = 0.75 if strength is None else strength


def _begins(
    values: dict[str, Any], options: dict[str, Any], strength: Any, ignored: list[str]
) -> None:
    said = {name: values.pop(name, None) for name in IMAGE_TO_IMAGE}
    images = said["init_images"]
    if not isinstance(images, list) or not images:
        raise Refused(404, "Init image not found", "init_image_not_found", "init_images")
    if len(images) > 1:
        ignored.append("init_images after the first")
    options |= {"image": images[0], "strength": 0.75 if strength is None else strength}
    if (scale := said["image_cfg_scale"]) not in (None, 1.5):
        options["image_guidance_scale"] = scale
    if not said["mask"]:
        return
    blur = [said[name] for name in ("mask_blur", "mask_blur_x", "mask_blur_y")]
    options |= {"mask": said["mask"], "inverts": bool(said["inpainting_mask_invert"])}
    options["mask_blur"] = next((one for one in blur if one is not None), 4)
    if said["inpaint_full_res"] in (None, True):  # webui's default
        padding = said["inpaint_full_res_padding"]
        padding = 32 if padding is None else option_value("only_masked", padding)
        options["only_masked"] = max(1, padding)
    if said["inpainting_fill"] not in (None, 1):
        ignored.append("inpainting_fill")


def _is_cut(wish: Wish) -> bool:
    """Whether the picture has other proportions than what is drawn."""
    image, settings = wish.pictures.image, wish.settings
    if image is None or not (settings.height and settings.width):
        return False
    return image.shape[0] * settings.width != image.shape[1] * settings.height


def _inverted(wish: Wish, inverts: bool) -> Wish:
    """The wish with a mask that paints what the given one keeps."""
    mask = wish.pictures.mask
    if mask is None or not inverts:
        return wish
    return wish._replace(pictures=wish.pictures._replace(mask=255 - mask))
