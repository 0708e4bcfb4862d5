"""What a route asks for, made into a job: all that can be checked is checked here."""

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from jaxsd.memory import check_drawing
from jaxsd.outputs import adapter_hashes
from jaxsd.server.bodies import whole
from jaxsd.server.jobs import FORMATS, Job, new_id
from jaxsd.server.line import HEAD_START
from jaxsd.server.picture import Picture
from jaxsd.server.refusals import Refused
from jaxsd.server.served import Served
from jaxsd.server.wishes import MOST_PIXELS, Wish, with_own_size
from jaxsd.settings import Settings, checked, rows_of

MOST_STEPS = 1000
MOST_LETTERS = 20_000
"""Of a prompt: each 75 tokens are more work in every step."""
PRIORITIES = -10, 10
"""The lowest and the highest."""


URGENCY = {
    "deadline": {"type": "number", "description": "seconds after which it is too late"},
    "priority": {
        "type": "integer",
        "minimum": PRIORITIES[0],
        "maximum": PRIORITIES[1],
        "default": 0,
        "description": f"each is a head start of {HEAD_START:g} s before what is less urgent",
    },
}
"""JSON Schema of what every API takes beside the options of a picture."""


@dataclass
class Ask:
    """What a route asks the service for.

    Attributes:
      model: its name; None for the first one.
      wishes: one for each picture.
      seconds: after which the pictures are late; None for never.
      partials: pictures of the estimate on the way.
      body: what to store the job with; None for one that is not stored.
      kept: whether its pictures are stored.
      id: of its job.
      admitted: whether it needs no room in the line: it had it before the server was started
        again, or is a part of what was admitted.
      priority: see `jaxsd.server.line.HEAD_START`.
    """

    model: str | None
    wishes: Sequence[Wish]
    seconds: float | None = None
    partials: int = 0
    watched: bool = False
    format: str = "png"
    body: str | None = None
    kept: bool = False
    id: str = field(default_factory=new_id)
    admitted: bool = False
    priority: int = 0


def urgency_of(values: dict[str, Any], seconds: float | None) -> dict[str, Any]:
    """Takes deadline and priority out of a request, as fields of `Ask`.

    Args:
      values: of the request.
      seconds: of a request without a deadline.

    Raises:
      Refused: one that is no such number.
    """
    given = values.pop("deadline", None)
    low, high = PRIORITIES
    priority = whole(values, "priority", 0, high, least=low)
    if given is None:
        return {"seconds": seconds, "priority": priority}
    if isinstance(given, bool) or not (found := seconds_in(given)):
        raise Refused(400, f"deadline {given!r} is not a number of seconds", param="deadline")
    return {"seconds": found, "priority": priority}


def seconds_in(value: Any) -> float:
    """A positive number, which forms give as a text; 0 for anything else."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return 0.0
    return number if 0 < number < math.inf else 0.0


def job_of(
    model: Served,
    artist: Any,
    ask: Ask,
    loop: asyncio.AbstractEventLoop,
    changed: Callable[[Job, int, Picture], None],
) -> Job:
    """The job of an ask, whose pictures do not wait yet. For any thread.

    Args:
      model: that it names.
      artist: of the model, in memory.
      ask: of a route.
      loop: of the handlers.
      changed: called from a device's thread for each change of a picture, with its number.

    Raises:
      ValueError: an option that can not be drawn.
      OSError: an adapter that is not there.
    """
    wishes = [with_files(with_own_size(one, model.spec), model) for one in ask.wishes]
    settings = [checked(_bounded(one.settings), model.spec) for one in wishes]
    largest = max(settings, key=lambda one: math.prod(one.final_size))
    height, width = largest.final_size
    if height * width > MOST_PIXELS:
        raise ValueError(f"size {width}x{height} is too large; {MOST_PIXELS} pixels are drawn")
    check_drawing(largest, model.spec, images=len(settings), together=1)
    common = replace(model.recipe, batch_size=artist.places)
    recipes = [
        replace(common, settings=one, pictures=wish.hashes, adapters=adapter_hashes(one))
        for one, wish in zip(settings, wishes, strict=True)
    ]
    job = Job(model.name, recipes, ask.kept, FORMATS[ask.format], loop, ask.id)
    deadline = None if ask.seconds is None else time.monotonic() + ask.seconds
    for number, (one, wish) in enumerate(zip(settings, wishes, strict=True)):
        rows = rows_of(one, model.spec)
        parts = ask.partials + 1
        picture = Picture(
            artist,
            artist.order(one, wish.pictures),
            rows,
            partial(changed, job, number),
            deadline,
            frozenset(max(1, rows * i // parts) for i in range(1, parts)),
            ask.watched,
            priority=ask.priority,
        )
        job.pictures.append(picture)
    job.files = [None] * len(job.pictures)
    return job


def with_files(wish: Wish, model: Served) -> Wish:
    """The wish with the files of the IP-Adapters that it names.

    Raises:
      ValueError: a ControlNet, an IP-Adapter or a refiner that the model has not.
    """
    settings = wish.settings
    if settings.refiner and settings.refiner not in model.refiners:
        listed = ", ".join(model.refiners) or "none"
        raise ValueError(f"refiner names {settings.refiner!r}, and {model.name} has {listed}")
    for option, there in (("control", model.controls), ("ip_adapter", tuple(model.adapters))):
        for one in getattr(settings, option):
            if one.model not in there:
                listed = ", ".join(there) or "none"
                raise ValueError(f"{option} names {one.model!r}, and {model.name} has {listed}")
    adapters = (replace(one, model=model.adapters[one.model]) for one in settings.ip_adapter)
    return wish._replace(settings=replace(settings, ip_adapter=tuple(adapters)))


def _bounded(settings: Settings) -> Settings:
    """Settings of which no number alone makes a picture endless.

    Raises:
      ValueError: there is one.
    """
    for name in ("steps", "hires_steps"):
        if (getattr(settings, name) or 0) > MOST_STEPS:
            raise ValueError(f"{name} {getattr(settings, name)} is more than {MOST_STEPS}")
    for name in ("prompt", "negative_prompt"):
        if (letters := len(getattr(settings, name))) > MOST_LETTERS:
            raise ValueError(f"{name} has {letters} characters, at most {MOST_LETTERS} are read")
    return settings
