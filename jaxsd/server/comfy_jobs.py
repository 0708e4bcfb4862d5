"""ComfyUI's list of jobs: graphs that wait, run, and are over, in one form."""

from typing import Any

from fastapi import APIRouter, Request

from jaxsd.server.bodies import whole
from jaxsd.server.comfy_queue import ComfyQueue
from jaxsd.server.comfy_showing import Prompt
from jaxsd.server.refusals import no_such

ENDED = {"execution_success": "completed", "execution_interrupted": "cancelled"}
"""Last event of a graph -> its state; that of any other is failed."""


def routes(queue: ComfyQueue) -> APIRouter:
    """The routes of jobs."""
    router = APIRouter(tags=["ComfyUI"])

    @router.get("/jobs")
    async def jobs(request: Request) -> dict[str, Any]:
        """Jobs, the newest first: `status` (several by commas), `limit`, `offset`, `sort_order`."""
        asked = dict(request.query_params)
        wanted = set(filter(None, asked.get("status", "").split(",")))
        limit = whole(asked, "limit", 1000, 10_000, 0)
        first = whole(asked, "offset", 0, 10**9, 0)
        found = [one for one in _all(queue) if not wanted or one["status"] in wanted]
        newest = asked.get("sort_order") != "asc"
        found.sort(key=lambda one: one["create_time"], reverse=newest)
        more = {"offset": first, "limit": limit, "total": len(found)}
        shown = found[first : first + limit]
        more["has_more"] = first + len(shown) < len(found)
        return {"jobs": shown, "pagination": more}

    @router.get("/jobs/{id}")
    async def job(id: str) -> dict[str, Any]:
        """A job with its graph and all that it made."""
        found = next((one for one in _all(queue) if one["id"] == id), None)
        if found is None:
            raise no_such("job", id)
        told = _prompt(queue, id)
        kept = queue.history.get(id, {})
        workflow = {"prompt": told[2], "extra_data": told[3]}
        status = kept.get("status")
        made = kept.get("outputs", {})
        return found | {"workflow": workflow, "outputs": made, "execution_status": status}

    @router.post("/jobs/{id}/cancel")
    async def cancel(id: str) -> dict[str, Any]:
        """Ends a job that waits or runs; whether there was one."""
        return {"cancelled": queue.cancel(id)}

    return router


def _prompt(queue: ComfyQueue, id: str) -> list[Any]:
    there = [one.told for one in (queue.running, *queue.waiting) if one is not None]
    there += [one["prompt"] for one in queue.history.values()]
    return next(one for one in there if one[1] == id)


def _all(queue: ComfyQueue) -> list[dict[str, Any]]:
    running = [queue.running] if queue.running else []
    told = [_told(one, "in_progress") for one in running]
    told += [_told(one, "pending") for one in queue.waiting]
    return told + [_told_of_history(*one) for one in queue.history.items()]


def _told(prompt: Prompt, state: str) -> dict[str, Any]:
    began = {} if prompt.began is None else {"execution_start_time": prompt.began}
    return _job(prompt.told, state, prompt.made) | began


def _told_of_history(id: str, kept: dict[str, Any]) -> dict[str, Any]:
    messages = kept["status"]["messages"]
    event, data = messages[-1]
    times = {
        "execution_start_time": messages[0][1]["timestamp"],
        "execution_end_time": data["timestamp"],
    }
    error = {"execution_error": data} if event == "execution_error" else {}
    return _job(kept["prompt"], ENDED.get(event, "failed"), kept["outputs"]) | times | error


def _job(told: list[Any], state: str, made: dict[str, Any]) -> dict[str, Any]:
    files = [(name, one) for name, own in list(made.items()) for one in own["images"]]
    shown = None
    if files:
        name, file = files[0]
        shown = file | {"nodeId": name, "mediaType": "images"}
    return {
        "id": told[1],
        "status": state,
        "priority": told[0],
        "create_time": told[3]["create_time"],
        "outputs_count": len(files),
        "preview_output": shown,
    }
