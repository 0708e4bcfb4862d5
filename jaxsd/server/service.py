"""Between HTTP and the engine: requests become jobs, and their pictures files."""

import asyncio
import json
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import jaxsd
from jaxsd.config import ModelSpec
from jaxsd.memory import check_drawing
from jaxsd.outputs import adapter_hashes
from jaxsd.server.engine import Draining, Engine, Full
from jaxsd.server.jobs import FORMATS, Job, new_id
from jaxsd.server.picture import CANCELLED, DONE, FAILED, QUEUED, Picture
from jaxsd.server.refusals import Refused, busy, no_such
from jaxsd.server.store import Store, StoredJob, StoredPicture
from jaxsd.server.wishes import MOST_PIXELS, Wish, with_own_size
from jaxsd.settings import Recipe, Settings, checked, rows_of
from jaxsd.webui import as_json, texts_of

PLAIN = Settings()
MOST_STEPS = 1000
MOST_LETTERS = 20_000
"""Of a prompt: each 75 tokens are more work in every step."""
LOOK_EVERY = 0.5
"""Seconds between two looks whether a client is still there."""


@dataclass(frozen=True)
class Served:
    """A model that is served.

    Attributes:
      artist: draws; see `jaxsd.server.artist`.
      recipe: what its pictures have in common.
      controls: names of its ControlNets.
    """

    name: str
    spec: ModelSpec
    artist: Any
    recipe: Recipe
    controls: tuple[str, ...] = ()


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
      resumed: whether it was in the queue of a server that ended.
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
    resumed: bool = False


class Service:
    """The models, the engine and the jobs of a server."""

    def __init__(
        self, models: Sequence[Served], engine: Engine, store: Store, base: Settings = PLAIN
    ) -> None:
        """Begins nothing.

        Args:
          models: the first is taken where none is named.
          engine: not begun.
          store: of jobs and pictures.
          base: what holds where a client says nothing, such as folders of LoRAs.
        """
        self.models = {one.name: one for one in models}
        self.engine, self.store, self.base = engine, store, base
        self.jobs: dict[str, Job] = {}
        self.counts = dict.fromkeys(("accepted", DONE, FAILED, CANCELLED), 0)
        self._workers = ThreadPoolExecutor(4, "worker")

    def model(self, name: str | None) -> Served:
        """A model by its name.

        Raises:
          Refused: there is none.
        """
        if not name:
            return next(iter(self.models.values()))
        if name not in self.models:
            raise no_such("model", name, f"; there are {', '.join(self.models)}")
        return self.models[name]

    async def begin(self, ask: Ask) -> Job:
        """Checks all that can be checked, and puts the pictures into the queue.

        Raises:
          Refused: saying why not.
        """
        if self.engine.broken:
            raise Refused(503, f"the device has failed: {self.engine.broken}", "broken")
        if self.engine.draining:
            raise Refused(503, "the server is about to end", "draining")
        if len(ask.wishes) > self.engine.most_waiting and not ask.resumed:
            most = self.engine.most_waiting
            raise Refused(400, f"{len(ask.wishes)} pictures are too many; {most} may wait here")
        model, loop = self.model(ask.model), asyncio.get_running_loop()
        try:
            job = await loop.run_in_executor(self._workers, self._job, model, ask, loop)
        except (ValueError, OSError) as error:
            raise Refused(400, str(error).partition("\n")[0]) from None
        self.jobs[job.id] = job
        try:
            if ask.body is not None:
                row = StoredJob(job.id, job.created, job.state, "", ask.body)
                await loop.run_in_executor(self._workers, self.store.add_job, row)
            self.engine.submit(job.pictures, bounded=not ask.resumed)
        except (Full, Draining) as error:
            del self.jobs[job.id]
            if ask.body is not None:
                await loop.run_in_executor(self._workers, self.store.delete_job, job.id)
            if isinstance(error, Full):
                raise busy(error.seconds) from None
            raise Refused(503, "the server is about to end", "draining") from None
        self.counts["accepted"] += len(job.pictures)
        return job

    def _job(self, model: Served, ask: Ask, loop: asyncio.AbstractEventLoop) -> Job:
        """The job of an ask. Runs in a worker."""
        wishes = [with_own_size(one, model.spec) for one in ask.wishes]
        _check_controls(wishes[0].settings, model)
        settings = [checked(_bounded(one.settings), model.spec) for one in wishes]
        height, width = settings[0].final_size
        if height * width > MOST_PIXELS:
            raise ValueError(f"size {width}x{height} is too large; {MOST_PIXELS} pixels are drawn")
        check_drawing(settings[0], model.spec, images=len(settings), together=1)
        recipes = [
            replace(model.recipe, settings=one, pictures=wish.hashes, adapters=adapter_hashes(one))
            for one, wish in zip(settings, wishes, strict=True)
        ]
        job = Job(model.name, recipes, ask.kept, FORMATS[ask.format], loop, ask.id)
        deadline = None if ask.seconds is None else time.monotonic() + ask.seconds
        for number, (one, wish) in enumerate(zip(settings, wishes, strict=True)):
            rows = rows_of(one, model.spec)
            picture = Picture(
                model.artist,
                model.artist.order(one, wish.pictures),
                rows,
                lambda picture, number=number: self._changed(job, number, picture),
                deadline,
                frozenset(
                    max(1, rows * i // (ask.partials + 1)) for i in range(1, ask.partials + 1)
                ),
                ask.watched,
            )
            job.pictures.append(picture)
        job.files = [None] * len(job.pictures)
        return job

    def _changed(self, job: Job, number: int, picture: Picture) -> None:
        """Called by the device's thread, which has no time for files."""
        if picture.over:
            self.counts[picture.state] += 1
            self._workers.submit(self._over, job, number)
        else:
            job.wake()

    def _over(self, job: Job, number: int) -> None:
        """Writes the file of a picture that is done, and stores what became of the job."""
        picture = job.pictures[number]
        try:
            if picture.state == DONE:
                self._write(job, number)
        except Exception as error:  # such as a full disk, or a JPEG with too little room
            picture.state, picture.error = FAILED, str(error).partition("\n")[0]
        if job.kept and job.over:
            self.store.end_job(job.id, job.state, job.error)
            self.jobs.pop(job.id, None)
        job.wake()

    def _write(self, job: Job, number: int) -> None:
        recipe, picture = job.recipes[number], job.pictures[number]
        content = job.written.encode(picture.image, texts_of(recipe))
        if job.kept:
            said = json.dumps(as_json(recipe))
            row = (job.name(number), job.id, number, time.time(), recipe.settings.seed)
            self.store.add_picture(StoredPicture(*row, job.written.kind, said), content)
        job.files[number] = content

    async def finished(self, job: Job, is_gone: Any) -> Job:
        """Waits for a job whose client waits too, and cancels it where the client has gone.

        Raises:
          Refused: it failed, or was cancelled.
        """
        try:
            while not job.over:
                await self.change(job)
                if not job.over and await is_gone():
                    self.cancel(job)
            raise_if_failed(job)
        finally:
            self.jobs.pop(job.id, None)
        return job

    async def change(self, job: Job) -> None:
        """Waits for a change of a job, or a while.

        Raises:
          Refused: the server ends before its turn.
        """
        await job.change(LOOK_EVERY)
        if self.engine.draining and any(one.state == QUEUED for one in job.pictures):
            raise Refused(503, "the server ends before this was drawn", "draining")

    def cancel(self, job: Job) -> None:
        """Ends what is not done of a job."""
        for picture in job.pictures:
            self.engine.cancel(picture)

    def close(self) -> None:
        """Ends the workers, then the store."""
        self._workers.shutdown()
        self.store.close()


def served_recipe(source: str, dtype: str, places: int, **more: Any) -> Recipe:
    """What the pictures of a model have in common."""
    return Recipe(PLAIN, source, dtype, jaxsd.__version__, batch_size=places, **more)


def raise_if_failed(job: Job) -> None:
    """Says why a job has no pictures.

    Raises:
      Refused: it has none.
    """
    if job.state == CANCELLED:
        raise Refused(499, "the job was cancelled", "cancelled")
    if job.state == FAILED:
        late = next((one for one in job.pictures if one.expired), None)
        if late is not None:
            raise Refused(504 if late.row else 503, job.error, "deadline")
        raise Refused(500, job.error, "drawing_failed", headers={"x-should-retry": "false"})


def _check_controls(settings: Settings, model: Served) -> None:
    for one in settings.control:
        if one.model not in model.controls:
            there = ", ".join(model.controls) or "none"
            raise ValueError(f"control names {one.model!r}, and {model.name} has {there}")


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
