"""What webui's API tells of models, samplers and files. Paths of files are not told."""

from io import BytesIO
from typing import Any

from fastapi import APIRouter, Request

from jaxsd.images import PARAMETERS, picture_texts
from jaxsd.memory import host_bytes
from jaxsd.schedulers import SAMPLERS
from jaxsd.schedulers.names import SIGMAS_OF_WEBUI
from jaxsd.schedulers.spacing import SIGMAS
from jaxsd.schedulers.trained_sigmas import TRAINED_SIGMAS
from jaxsd.server.bodies import json_body
from jaxsd.server.refusals import Refused
from jaxsd.server.served import Served
from jaxsd.server.service import Service
from jaxsd.server.webui_extensions import MODULES
from jaxsd.server.webui_plot import SCRIPT
from jaxsd.server.wishes import picture_bytes
from jaxsd.settings.adapters import files_within
from jaxsd.webui import parse_parameters


def title(model: Served) -> str:
    """The title of a model in webui."""
    digest = model.recipe.model_hash
    return f"{model.name}.safetensors" + (f" [{digest}]" if digest else "")


def add_lists(router: APIRouter, service: Service) -> None:
    """Adds the routes that tell what there is."""

    def told(path: str, what: Any) -> None:
        router.add_api_route(f"/sdapi/v1/{path}", what, methods=["GET"], name=path)

    told("samplers", samplers)
    told("schedulers", schedulers)
    told("sd-models", lambda: [_model(one) for one in service.models.values()])
    told("loras", lambda: [_lora(name) for name in files_within(service.base.lora_folder)])
    told("embeddings", lambda: _embeddings(service))
    told("upscalers", lambda: [_upscaler(name) for name in service.enlarger.names])
    told("latent-upscale-modes", lambda: [{"name": "Latent"}])
    told("scripts", lambda: {"txt2img": [SCRIPT], "img2img": [SCRIPT]})
    told("cmd-flags", lambda: {})
    told("memory", lambda: {"ram": {"total": host_bytes()}, "cuda": {"error": "not told"}})
    for nothing in ("sd-vae", "hypernetworks", "face-restorers", "realesrgan-models",
                    "prompt-styles", "script-info", "extensions"):  # fmt: skip
        told(nothing, lambda: [])

    if any(one.controls for one in service.models.values()):
        router.add_api_route("/controlnet/version", lambda: {"version": 2}, methods=["GET"])
        router.add_api_route("/controlnet/model_list", lambda: _controls(service), methods=["GET"])
        router.add_api_route("/controlnet/module_list", _modules, methods=["GET"])

    def refreshed() -> None:
        """Folders are looked at whenever they are needed."""

    for name in ("refresh-checkpoints", "refresh-vae", "refresh-loras", "refresh-embeddings"):
        router.add_api_route(f"/sdapi/v1/{name}", refreshed, methods=["POST"], name=name)

    @router.post("/sdapi/v1/png-info")
    async def png_info(request: Request) -> dict[str, Any]:
        """The text of webui's in a picture."""
        body = await json_body(request)
        try:
            text = text_in(picture_bytes(body.get("image"), "image"))
        except (ValueError, OSError) as error:
            raise Refused(422, str(error).partition("\n")[0], param="image") from None
        return {"info": text, "items": {"parameters": text}, "parameters": parse_parameters(text)}


def text_in(packed: bytes) -> str:
    """The text of webui's in the file of a picture; empty if there is none.

    Raises:
      OSError: it is no picture.
    """
    return picture_texts(BytesIO(packed)).get(PARAMETERS, "")


def samplers() -> list[dict[str, Any]]:
    """The samplers by webui's names; ours are aliases."""
    return [{"name": one.webui, "aliases": [name], "options": {}} for name, one in SAMPLERS.items()]


def schedulers() -> list[dict[str, Any]]:
    """The grids of noise levels that go with samplers of sigmas."""
    plain = [
        {"name": name, "label": name.capitalize(), "aliases": None, "default_rho": -1,
         "need_inner_model": False}
        for name in ("automatic", "uniform")
    ]  # fmt: skip
    return plain + [
        {
            "name": name,
            "label": SIGMAS_OF_WEBUI.get(name, name.capitalize()),
            "aliases": None,
            "default_rho": -1,
            "need_inner_model": False,
        }
        for name in (*SIGMAS, *TRAINED_SIGMAS)
    ]


def _model(model: Served) -> dict[str, Any]:
    return {
        "title": title(model),
        "model_name": model.name,
        "hash": model.recipe.model_hash or None,
        "sha256": None,
        "filename": f"{model.name}.safetensors",
        "config": None,
    }


def _lora(name: str) -> dict[str, Any]:
    return {"name": name, "alias": name, "path": f"{name}.safetensors", "metadata": {}}


def _controls(service: Service) -> dict[str, list[str]]:
    return {"model_list": [name for one in service.models.values() for name in one.controls]}


def _modules() -> dict[str, Any]:
    return {"module_list": list(MODULES), "module_detail": {}}


def _embeddings(service: Service) -> dict[str, Any]:
    there = files_within(service.base.embedding_folder)
    shown = {"step": None, "sd_checkpoint": None, "sd_checkpoint_name": None}
    return {"loaded": dict.fromkeys(there, shown), "skipped": {}}


def _upscaler(name: str) -> dict[str, Any]:
    return {"name": name, "model_name": None, "model_path": None, "model_url": None, "scale": 4}
