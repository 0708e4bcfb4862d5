"""webui's answers: pictures in base64, and `info` with its 32 keys."""

import base64
import json
import time
from collections.abc import Mapping
from typing import Any

from jaxsd.images import PARAMETERS
from jaxsd.schedulers import SAMPLERS, is_learnt
from jaxsd.schedulers.names import resolve
from jaxsd.server.jobs import Job
from jaxsd.server.picture import DONE
from jaxsd.server.webui_plot import Plot
from jaxsd.server.webui_request import Wanted
from jaxsd.settings import Recipe, Settings
from jaxsd.webui import parameters_text, parse_parameters

NO_PARAMETERS = ("Seed", "Size", "Steps", "Sampler", "CFG scale", "Prompt", "Negative prompt")
"""Parts of webui's text that have a key of their own in `info`."""


def answer_of(job: Job, wanted: Wanted) -> dict[str, Any]:
    """The answer to txt2img and img2img, with those pictures that are done."""
    done = [i for i, one in enumerate(job.pictures) if one.state == DONE and job.files[i]]
    files = [job.files[i] or b"" for i in done]
    said = info_of([job.recipes[i] for i in done or range(1)], job, wanted)
    if wanted.plot is not None and len(done) == len(job.pictures):
        files = [_sheet(job, wanted.plot), *(files if wanted.plot.lone else ())]
        said["index_of_first_image"] = 1
        said["infotexts"] = [said["infotexts"][0], *said["infotexts"]]
    images = [base64.b64encode(one).decode() for one in files]
    return {
        "images": images if wanted.sends else [],
        "parameters": echoed(wanted.values),
        "info": json.dumps(said),
    }


def _sheet(job: Job, plot: Plot) -> bytes:
    """The file of the pictures side by side."""
    texts = {PARAMETERS: parameters_text(job.recipes[0], plot.grid.described)}
    return job.written.encode(plot.sheet([one.image for one in job.pictures]), texts)


def echoed(values: Mapping[str, Any]) -> dict[str, Any]:
    """A request without its pictures, and with null for Infinity, which is no JSON."""
    plain = {name: value for name, value in values.items() if name not in ("init_images", "mask")}
    return json.loads(json.dumps(plain), parse_constant=lambda word: None)


def info_of(recipes: list[Recipe], job: Job, wanted: Wanted) -> dict[str, Any]:
    """What webui tells of pictures, and `jaxsd_ignored`: fields that did nothing."""
    each = [one.settings for one in recipes]
    first, texts = each[0], [parameters_text(one) for one in recipes]
    height, width = first.drawn_size
    stamp = time.strftime("%Y%m%d%H%M%S", time.localtime(job.created))
    parts = parse_parameters(texts[0])
    strength = first.hires_strength if first.hires > 1 else first.strength
    resized = first.seed_resize if all(first.seed_resize) else (-1, -1)
    return {
        "prompt": first.prompt,
        "all_prompts": [one.prompt for one in each],
        "negative_prompt": first.negative_prompt,
        "all_negative_prompts": [one.negative_prompt for one in each],
        "seed": first.seed,
        "all_seeds": [one.seed for one in each],
        "subseed": first.variation_seed,
        "all_subseeds": [_subseed(one, i) for i, one in enumerate(each)],
        "subseed_strength": first.variation_strength,
        "width": width,
        "height": height,
        "sampler_name": sampler_name(first.sampler or ""),
        "cfg_scale": first.guidance_scale,
        "steps": first.steps,
        "batch_size": wanted.batch_size,
        "restore_faces": False,
        "face_restoration_model": None,
        "sd_model_name": job.model,
        "sd_model_hash": recipes[0].model_hash,
        "sd_vae_name": recipes[0].taesd or None,
        "sd_vae_hash": None,
        "seed_resize_from_w": resized[0],
        "seed_resize_from_h": resized[1],
        "denoising_strength": strength if first.image or first.hires > 1 else None,
        "extra_generation_params": {
            name: value for name, value in parts.items() if name not in NO_PARAMETERS
        },
        "index_of_first_image": 0,
        "infotexts": texts,
        "styles": [],
        "job_timestamp": stamp,
        "clip_skip": first.clip_skip,
        "is_using_inpainting_conditioning": bool(first.mask),
        "version": f"jaxsd {recipes[0].version}",
        "jaxsd_ignored": list(wanted.ignored),
    }


def _subseed(settings: Settings, number: int) -> int:
    """Without strength webui counts them all the same."""
    counts = 0 if settings.variation_strength else number
    return settings.variation_seed + counts


def sampler_name(name: str) -> str:
    """The name of a sampler in webui; that of a file stays."""
    if is_learnt(name):
        return name
    ours, _ = resolve(name, tuple(SAMPLERS))
    return SAMPLERS[ours].webui


def progress_of(job: Job | None, preview: str | None) -> dict[str, Any]:
    """What webui tells of the job that runs; None for none."""
    step, steps, pictures = 0, 0, 0
    if job is not None:
        running = next((one for one in job.pictures if not one.over), job.pictures[-1])
        step, steps, pictures = running.row, running.rows, len(job.pictures)
    share = job.progress if job else 0.0
    spent = time.time() - job.created if job else 0.0
    left = spent / share - spent if share else 0.0
    number = sum(one.over for one in job.pictures) if job else 0
    stamp = time.strftime("%Y%m%d%H%M%S", time.localtime(job.created)) if job else "0"
    unwanted = bool(job) and any(one.unwanted for one in job.pictures)
    return {
        "progress": share,
        "eta_relative": left,
        "state": {
            "skipped": False,
            "interrupted": unwanted,
            "stopping_generation": False,
            "job": job.id if job else "",
            "job_count": pictures,
            "job_timestamp": stamp,
            "job_no": number,
            "sampling_step": step,
            "sampling_steps": steps,
        },
        "current_image": preview,
        "textinfo": None,
    }
