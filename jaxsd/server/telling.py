"""Jobs as JSON: those that run, and those that are stored."""

import json
from typing import Any

from jaxsd.server.jobs import Job
from jaxsd.server.refusals import no_such
from jaxsd.server.service import Service
from jaxsd.server.store import StoredJob
from jaxsd.server.wishes import OPEN

PREFIX = "/jaxsd/v1"
"""Of the paths of jobs and pictures."""


def told_by_id(service: Service, id: str) -> dict[str, Any]:
    """A job as JSON, that runs or is stored.

    Raises:
      Refused: there is none.
    """
    if (job := service.jobs.get(id)) is not None:
        return told(service, job)
    if (row := service.store.job(id)) is None:
        raise no_such("job", id)
    return told_of_store(service, row)


def told(service: Service, job: Job) -> dict[str, Any]:
    """A job that runs, as JSON."""
    waiting = (service.engine.position(one) for one in job.pictures)
    positions = [one for one in waiting if one is not None]
    images = [
        {
            "id": job.name(i),
            "status": one.state,
            "seed": job.recipes[i].settings.seed,
            "step": one.row,
            "steps": one.rows,
            "url": f"{PREFIX}/pictures/{job.name(i)}" if job.files[i] else None,
            "error": one.error or None,
        }
        for i, one in enumerate(job.pictures)
    ]
    return _job(job.id, job.created, job.state, job.error, images) | {
        "model": job.model,
        "progress": round(job.progress, 4),
        "queue_position": min(positions, default=None),
    }


def told_of_store(service: Service, row: StoredJob) -> dict[str, Any]:
    """A job that is stored, as JSON."""
    images = []
    for one in service.store.pictures(row.id):
        said = json.loads(one.settings)
        own = {name: value for name, value in said.items() if name in OPEN}
        images.append(
            {
                "id": one.id,
                "status": "completed",
                "seed": one.seed,
                "url": f"{PREFIX}/pictures/{one.id}",
                "settings": own,
            }
        )
    share = 1.0 if row.state == "completed" else 0.0
    return _job(row.id, row.created, row.state, row.error, images) | {
        "progress": share,
        "queue_position": None,
    }


def _job(
    id: str, created: float, state: str, error: str, images: list[dict[str, Any]]
) -> dict[str, Any]:
    return {
        "id": id,
        "object": "jaxsd.job",
        "created_at": int(created),
        "status": state,
        "error": error or None,
        "images": images,
    }
