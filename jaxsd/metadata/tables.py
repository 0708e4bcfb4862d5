"""Programs that write a table of JSON, or texts of their own, into pictures."""

import re
from collections.abc import Mapping
from typing import Any

from jaxsd.metadata.made import Made, settings_of, table_in
from jaxsd.webui import PARAMETERS

Texts = Mapping[str, str]

_DREAM = re.compile(r'"(.*)"((?:\s+-.*)?)\s*', re.DOTALL)
_FLAG = re.compile(r"-(\w+)\s+(\S+)")
_FLAGS = {
    "s": "Steps",
    "S": "Seed",
    "W": "width",
    "H": "height",
    "C": "CFG scale",
    "A": "Sampler",
    "f": "Denoising strength",
}
_JOB = re.compile(r"(.*)\bJob ID: *([0-9a-f-]{36})", re.DOTALL)
_FLAG_BEHIND = re.compile(r"\s--(?=[a-z])")
_DESCRIPTIONS = ("Description", "ImageDescription")
_IN_BRACKETS = re.compile(r"\[([^\[\]]*)\]")


def swarm(texts: Texts) -> Made | None:
    """SwarmUI: `sui_image_params` in `parameters`."""
    table = table_in(texts, PARAMETERS).get("sui_image_params")
    if not isinstance(table, dict):
        return None
    version = table.pop("swarm_version", "")
    return _made(f"SwarmUI {version}", table, "prompt", "negativeprompt")


def fooocus(texts: Texts) -> Made | None:
    """Fooocus and RuinedFooocus: a table in `parameters` that names the program."""
    table = table_in(texts, PARAMETERS)
    if table.get("software") == "RuinedFooocus":
        return _made("RuinedFooocus", table, "Prompt", "Negative", software="Software")
    version = str(table.get("version", ""))
    if not table or not (version.startswith("Fooocus") or "fooocus_scheme" in texts):
        return None
    return _made(version or "Fooocus", table, "prompt", "negative_prompt")


def diffusers(texts: Texts) -> Made | None:
    """A table in `parameters` with the names of diffusers' arguments, as Spaces write it."""
    table = table_in(texts, PARAMETERS)
    if "prompt" not in table or not {"guidance_scale", "num_inference_steps"} & set(table):
        return None
    return _made("diffusers, a Space or a script", table, "prompt", "negative_prompt")


def easy_diffusion(texts: Texts) -> Made | None:
    """Easy Diffusion: a text for each setting."""
    if not {"prompt", "use_stable_diffusion_model"} <= set(texts):
        return None
    table = dict(texts)
    names = {"use_stable_diffusion_model": "Model"}
    return _made("Easy Diffusion", table, "prompt", "negative_prompt", **names)


def invoke(texts: Texts) -> Made | None:
    """InvokeAI 3 and later: `invokeai_metadata`."""
    table = table_in(texts, "invokeai_metadata")
    if "positive_prompt" not in table:
        return None
    program = f"InvokeAI {table.pop('app_version', '')}"
    return _made(program, table, "positive_prompt", "negative_prompt", scheduler="Sampler")


def invoke_2(texts: Texts) -> Made | None:
    """InvokeAI 2: `sd-metadata`, whose prompts have what is not wanted in brackets."""
    table = table_in(texts, "sd-metadata")
    image = table.get("image")
    if not isinstance(image, dict):
        return None
    prompts = image.pop("prompt", "")
    if isinstance(prompts, list):
        prompts = "\n".join(str(one.get("prompt", "")) for one in prompts if isinstance(one, dict))
    prompt, negative = _split(str(prompts))
    model = {name: table.get(name) for name in ("model_weights", "model_hash")}
    return Made(
        f"InvokeAI {table.get('app_version', '')}".strip(),
        prompt,
        negative,
        settings_of(image | model),
    )


def dream(texts: Texts) -> Made | None:
    """The first InvokeAI: `Dream`, a prompt in quotes and flags."""
    found = _DREAM.fullmatch(texts.get("Dream", ""))
    if not found:
        return None
    flags = {_FLAGS[name]: value for name, value in _FLAG.findall(found[2]) if name in _FLAGS}
    return Made("InvokeAI, or lstein's dream", *_split(found[1]), settings_of(flags))


def novelai(texts: Texts) -> Made | None:
    """NovelAI: the prompt in `Description`, a table in `Comment`."""
    if texts.get("Software") != "NovelAI":
        return None
    table = table_in(texts, "Comment")
    prompt = texts.get("Description", table.pop("prompt", None))
    made = _made("NovelAI", table | {"prompt": prompt}, "prompt", "uc", scale="CFG scale")
    return made._replace(settings=made.settings | settings_of({"Model": texts.get("Source")}))


def draw_things(texts: Texts) -> Made | None:
    """Draw Things: a table in the user's comment, of XMP or of EXIF."""
    both = (table_in(texts, name) for name in ("UserComment", PARAMETERS))
    table = next((one for one in both if {"c", "uc", "sampler", "scale"} <= set(one)), {})
    if not table and texts.get("CreatorTool") != "Draw Things":
        return None
    return _made("Draw Things", table, "c", "uc", scale="CFG scale", size="Size")


def midjourney(texts: Texts) -> Made | None:
    """Midjourney: a prompt with its flags and the id of a job, as a description."""
    found = (_JOB.fullmatch(texts.get(name, "").strip()) for name in _DESCRIPTIONS)
    if (job := next(filter(None, found), None)) is None:
        return None
    prompt, *flags = _FLAG_BEHIND.split(f" {job[1]}")
    table: dict[str, str] = {}
    for flag in flags:
        name, _, value = flag.strip().partition(" ")
        table[name] = value.strip() or "true"
    negative, author = table.pop("no", ""), texts.get("Author")
    settings = settings_of(table | {"Job ID": job[2], "Author": author}, seed="Seed")
    return Made("Midjourney", prompt.strip(), negative, settings)


def unknown_table(texts: Texts) -> Made | None:
    """A table in `parameters` of a program that is not known."""
    table = table_in(texts, PARAMETERS)
    names = ", ".join(list(table)[:5])
    return Made(f"not known; a table with {names}", None, None, {}) if table else None


def _made(program: str, table: dict[str, Any], prompt: str, negative: str, **names: str) -> Made:
    texts = [table.pop(name, None) for name in (prompt, negative)]
    texts = [text if isinstance(text, str) else None for text in texts]
    return Made(program.strip(), *texts, settings_of(table, **names))


def _split(text: str) -> tuple[str, str]:
    return _IN_BRACKETS.sub("", text).strip(), ", ".join(_IN_BRACKETS.findall(text))
