"""webui's API, /sdapi/v1, for the programs that know it."""

import base64
from io import BytesIO
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from jaxsd.images import PARAMETERS, jpeg_bytes, picture_texts
from jaxsd.memory import host_bytes
from jaxsd.schedulers import SAMPLERS
from jaxsd.schedulers.names import SIGMAS_OF_WEBUI
from jaxsd.schedulers.spacing import SIGMAS
from jaxsd.schedulers.trained_sigmas import TRAINED_SIGMAS
from jaxsd.server.bodies import json_body
from jaxsd.server.jobs import Job
from jaxsd.server.picture import CANCELLED
from jaxsd.server.refusals import Refused
from jaxsd.server.service import Served, Service
from jaxsd.server.webui_answer import answer_of, progress_of
from jaxsd.server.webui_request import MODULES, model_of, wanted_of
from jaxsd.server.wishes import picture_bytes
from jaxsd.settings.adapters import files_within
from jaxsd.webui import parse_parameters


class Tasks:
    """Jobs of webui's clients, by the ids that these gave them, the oldest first."""

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        self.checkpoint: str | None = None

    def first(self, task: str | None = None) -> Job | None:
        """The job of an id, or that which runs longest."""
        if task:
            return self.jobs.get(task)
        return next(iter(self.jobs.values()), None)

    def only(self, task: str | None) -> Job | None:
        """The job to interrupt.

        Raises:
          Refused: no id is given, and there are several.
        """
        if not task and len(self.jobs) > 1:
            message = f"{len(self.jobs)} jobs run; say which with id_task, its force_task_id"
            raise Refused(409, message, "which_job", "id_task")
        return self.first(task)


def routes(service: Service) -> APIRouter:
    """The routes that draw, and those that tell how far it is."""
    router, tasks = APIRouter(tags=["webui"]), Tasks()

    async def drawn(request: Request, begins: bool) -> Response:
        body = await json_body(request)
        try:
            wanted = wanted_of(service, body, begins=begins)
        except ValueError as error:
            raise Refused(422, str(error)) from None
        wanted.ask.model = wanted.ask.model or tasks.checkpoint
        job = await service.begin(wanted.ask)
        task = wanted.task or job.id
        tasks.jobs[task] = job
        try:
            await service.finished(job, request.is_disconnected)
        except Refused:
            if job.state != CANCELLED:
                raise
        finally:
            tasks.jobs.pop(task, None)
        return JSONResponse(answer_of(job, wanted))

    @router.post("/sdapi/v1/txt2img")
    async def txt2img(request: Request) -> Response:
        """Pictures of a prompt."""
        return await drawn(request, begins=False)

    @router.post("/sdapi/v1/img2img")
    async def img2img(request: Request) -> Response:
        """Pictures that begin from a picture, or paint a part of it."""
        return await drawn(request, begins=True)

    @router.get("/sdapi/v1/progress")
    async def progress(
        id_task: str | None = None, skip_current_image: bool = False
    ) -> dict[str, Any]:
        """How far the job of an id is, or the oldest one."""
        job = tasks.first(id_task)
        return progress_of(job, None if skip_current_image else preview_of(job))

    @router.post("/internal/progress")
    async def progress_of_task(request: Request) -> dict[str, Any]:
        """The same in the words of webui's own page."""
        body = await json_body(request)
        job = tasks.jobs.get(str(body.get("id_task", "")))
        position = service.engine.position(job.pictures[0]) if job else None
        shown = preview_of(job) if body.get("live_preview", True) else None
        return {
            "active": job is not None and position is None,
            "queued": position is not None,
            "completed": job is None,
            "progress": job.progress if job else None,
            "eta": progress_of(job, None)["eta_relative"] if job else None,
            "live_preview": f"data:image/jpeg;base64,{shown}" if shown else None,
            "id_live_preview": job.pictures[0].row if job else -1,
            "textinfo": "Waiting..." if job is None or position is not None else None,
        }

    @router.post("/sdapi/v1/interrupt")
    async def interrupt(request: Request, id_task: str | None = None) -> dict[str, Any]:
        """Ends a job; where several run, that of the id."""
        task = id_task or (await json_body(request)).get("id_task")
        if (job := tasks.only(task)) is not None:
            service.cancel(job)
        return {}

    @router.post("/sdapi/v1/skip")
    async def skip(request: Request, id_task: str | None = None) -> dict[str, Any]:
        """Ends the picture of a job that is drawn."""
        task = id_task or (await json_body(request)).get("id_task")
        if (job := tasks.only(task)) is not None:
            first = next((one for one in job.pictures if not one.over), None)
            if first is not None:
                service.engine.cancel(first)
        return {}

    @router.get("/sdapi/v1/options")
    async def options() -> dict[str, Any]:
        """What webui's owner has set, as far as it is anything here."""
        model = service.model(tasks.checkpoint)
        return {
            "sd_model_checkpoint": title(model),
            "sd_checkpoint_hash": model.recipe.model_hash,
            "sd_vae": "Automatic",
            "CLIP_stop_at_last_layers": 1,
            "samples_format": "png",
            "randn_source": "jaxsd",
        }

    @router.post("/sdapi/v1/options")
    async def set_options(request: Request) -> dict[str, Any]:
        """Sets the model for requests that name none; nothing else can be set."""
        body = await json_body(request)
        told = body.pop("sd_model_checkpoint", None)
        if body:
            raise Refused(422, f"{', '.join(body)} can not be set here", param=next(iter(body)))
        tasks.checkpoint = service.model(model_of(service, told)).name
        return {}

    _discovery(router, service)
    return router


def preview_of(job: Job | None) -> str | None:
    """The newest preview of a job, a JPEG in base64."""
    shown = next((one.preview for one in job.pictures if not one.over), None) if job else None
    return None if shown is None else base64.b64encode(jpeg_bytes(shown)).decode()


def title(model: Served) -> str:
    """The title of a model in webui."""
    digest = model.recipe.model_hash
    return f"{model.name}.safetensors" + (f" [{digest}]" if digest else "")


def _discovery(router: APIRouter, service: Service) -> None:
    """The routes that tell what there is. Paths of files are not told."""

    def told(path: str, what: Any) -> None:
        router.add_api_route(f"/sdapi/v1/{path}", what, methods=["GET"], name=path)

    told("samplers", samplers)
    told("schedulers", schedulers)
    told("sd-models", lambda: [_model(one) for one in service.models.values()])
    told("loras", lambda: [_lora(name) for name in files_within(service.base.lora_folder)])
    told("embeddings", lambda: _embeddings(service))
    told("upscalers", lambda: [_upscaler(name) for name in ("None", "Lanczos")])
    told("latent-upscale-modes", lambda: [{"name": "Latent"}])
    told("scripts", lambda: {"txt2img": [], "img2img": []})
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
