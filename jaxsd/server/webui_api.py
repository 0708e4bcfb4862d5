"""webui's API, /sdapi/v1, for the programs that know it."""

import asyncio
import base64
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from jaxsd.images import jpeg_bytes
from jaxsd.server.bodies import json_body
from jaxsd.server.described import WEBUI_ERROR, refusals
from jaxsd.server.jobs import Job
from jaxsd.server.picture import CANCELLED
from jaxsd.server.refusals import Refused
from jaxsd.server.service import Service
from jaxsd.server.webui_answer import answer_of, progress_of
from jaxsd.server.webui_extras import add_extras
from jaxsd.server.webui_lists import add_lists, title
from jaxsd.server.webui_request import model_of, wanted_of


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
    router, tasks = APIRouter(tags=["webui"], responses=refusals(WEBUI_ERROR)), Tasks()

    async def drawn(request: Request, begins: bool) -> Response:
        body = await json_body(request)
        try:
            wanted = wanted_of(service, body, begins=begins, checkpoint=tasks.checkpoint)
        except ValueError as error:
            raise Refused(422, str(error)) from None
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
        return JSONResponse(await asyncio.to_thread(answer_of, job, wanted))

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
        task = id_task or str((await json_body(request)).get("id_task") or "")
        if (job := tasks.only(task)) is not None:
            service.cancel(job)
        return {}

    @router.post("/sdapi/v1/skip")
    async def skip(request: Request, id_task: str | None = None) -> dict[str, Any]:
        """Ends the picture of a job that is drawn."""
        task = id_task or str((await json_body(request)).get("id_task") or "")
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

    add_extras(router, service)
    add_lists(router, service)
    return router


def preview_of(job: Job | None) -> str | None:
    """The newest preview of a job, a JPEG in base64."""
    shown = next((one.preview for one in job.pictures if not one.over), None) if job else None
    return None if shown is None else base64.b64encode(jpeg_bytes(shown)).decode()
