"""Between HTTP and the engine: requests become jobs, and their pictures files."""

import asyncio
import json
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import Any

from jaxsd.server.asking import Ask, job_of
from jaxsd.server.engine import Draining, Engine, Full
from jaxsd.server.enlarging import Enlarger
from jaxsd.server.finishing import Finishing, Unfit
from jaxsd.server.jobs import Job
from jaxsd.server.picture import CANCELLED, DONE, FAILED, QUEUED, Picture
from jaxsd.server.refusals import Refused, busy, no_such
from jaxsd.server.served import Served
from jaxsd.server.shelf import Shelf
from jaxsd.server.store import Store, StoredJob, StoredPicture
from jaxsd.settings import Settings
from jaxsd.webui import as_json

PLAIN, PLAINLY = Settings(), Finishing()
LOOK_EVERY = 0.5
"""Seconds between two looks whether a client is still there."""


class Service:
    """The models, the engine and the jobs of a server."""

    def __init__(
        self,
        models: Sequence[Served],
        engine: Engine,
        store: Store,
        base: Settings = PLAIN,
        shelf: Shelf | None = None,
        finishing: Finishing = PLAINLY,
        enlarger: Enlarger | None = None,
    ) -> None:
        """Begins nothing.

        Args:
          models: the first is taken where none is named.
          engine: not begun.
          store: of jobs and pictures.
          base: what holds where a client says nothing, such as folders of LoRAs.
          shelf: has those models that are in memory; one without a limit if none is given.
          finishing: what is done to each picture.
          enlarger: of pictures that clients bring; one without networks if none is given.
        """
        self.models = {one.name: one for one in models}
        self.engine, self.store, self.base = engine, store, base
        self.shelf, self.finishing = shelf or Shelf(), finishing
        self.enlarger = enlarger or Enlarger()
        self.jobs: dict[str, Job] = {}
        self.counts = dict.fromkeys(("accepted", DONE, FAILED, CANCELLED), 0)
        self._workers, self._prepared = ThreadPoolExecutor(4, "worker"), 0

    def model(self, name: str | None) -> Served:
        """A model by its name.

        Raises:
          Refused: there is none.
        """
        if not name:
            return next(iter(self.models.values()))
        if not isinstance(name, str) or name not in self.models:
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
        count = len(ask.wishes)
        if count > self.engine.most_waiting and not ask.admitted:
            most = self.engine.most_waiting
            raise Refused(400, f"{count} pictures are too many; {most} may wait here")
        if not self.finishing.shows:
            ask = replace(ask, partials=0, watched=False)
        model = self.model(ask.model)
        artist = await self.artist(model, count)
        self._prepared += count
        try:
            if not ask.admitted:
                self._check_room(artist.places)
            job = await self._begun(model, artist, ask)
        except BaseException:
            self.shelf.give_back(model.name, count)
            raise
        finally:
            self._prepared -= count
        self.counts["accepted"] += count
        return job

    def _check_room(self, places: int) -> None:
        """Refuses at once what would find the line full; to prepare it first takes longer."""
        engine = self.engine
        most = engine.most_waiting + places * engine.devices
        if engine.waiting + self._prepared > most:
            raise busy(engine.patience())

    async def artist(self, model: Served, count: int) -> Any:
        """What draws a model's pictures, which stays until `shelf.give_back` was told of so many.

        Raises:
          Refused: it can not be loaded.
        """
        try:
            return await self.shelf.take(model, count)
        except Exception as error:
            reason = str(error).partition("\n")[0]
            more = {"x-should-retry": "false"}
            message = f"model {model.name} can not be loaded: {reason}"
            raise Refused(500, message, "model_not_loaded", "model", more) from None

    async def _begun(self, model: Served, artist: Any, ask: Ask) -> Job:
        """The job of an ask, with its pictures in the line."""
        loop = asyncio.get_running_loop()
        told = model, artist, ask, loop, self._changed
        try:
            job = await loop.run_in_executor(self._workers, job_of, *told)
        except (ValueError, OSError) as error:
            raise Refused(400, str(error).partition("\n")[0]) from None
        self.jobs[job.id] = job
        try:
            if ask.body is not None:
                row = StoredJob(job.id, job.created, job.state, "", ask.body)
                await loop.run_in_executor(self._workers, self.store.add_job, row)
            self.engine.submit(job.pictures, bounded=not ask.admitted)
        except OSError as error:
            del self.jobs[job.id]
            raise Refused(507, f"the job can not be kept: {error}", "storage") from None
        except (Full, Draining) as error:
            del self.jobs[job.id]
            if ask.body is not None:
                await loop.run_in_executor(self._workers, self.store.delete_job, job.id)
            if isinstance(error, Full):
                raise busy(error.seconds) from None
            raise Refused(503, "the server is about to end", "draining") from None
        return job

    def _changed(self, job: Job, number: int, picture: Picture) -> None:
        """Called by a device's thread, which has no time for files."""
        if picture.over:
            job.soon(self._ended, job.model, picture.state)
            self._workers.submit(self._over, job, number)
        else:
            job.wake()

    def _ended(self, model: str, state: str) -> None:
        self.counts[state] += 1
        self.shelf.give_back(model)

    def _over(self, job: Job, number: int) -> None:
        """Writes the file of a picture that is done, and stores what became of the job."""
        picture = job.pictures[number]
        try:
            if picture.state == DONE:
                self._write(job, number)
        except Exception as error:  # such as a full disk, or a JPEG with too little room
            picture.state, picture.error = FAILED, str(error).partition("\n")[0]
            picture.unfit = isinstance(error, Unfit)
        if job.kept and job.over:
            with suppress(OSError):  # else it stays in memory, and is drawn again after a restart
                self.store.end_job(job.id, job.state, job.error)
                self.jobs.pop(job.id, None)
        job.wake()

    def _write(self, job: Job, number: int) -> None:
        recipe, picture = job.recipes[number], job.pictures[number]
        content = self.finishing.file(picture.image, recipe, job.written, picture.decoded_in)
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
        self.shelf.close()
        self.enlarger.close()
        self._workers.shutdown()
        self.store.close()


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
        if any(one.unfit for one in job.pictures):
            raise Refused(400, job.error, "content_policy_violation")
        raise Refused(500, job.error, "drawing_failed", headers={"x-should-retry": "false"})
