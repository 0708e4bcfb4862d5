"""Videos on their way: their frames are pictures of the line, a few at a time.

Each has a folder, with what was asked for and the frames that are drawn: so a video goes on after a
restart. One is drawn after the other.
"""

import asyncio
import json
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jaxsd.folders import private
from jaxsd.server.asking import Ask
from jaxsd.server.filming import FILE, Film, film_of
from jaxsd.server.jobs import new_id
from jaxsd.server.picture import DONE, DRAWING, FAILED, QUEUED
from jaxsd.server.refusals import Refused, busy, no_such
from jaxsd.server.service import Service
from jaxsd.video.making import made
from jaxsd.video.plan import frame_id
from jaxsd.writing import replacing

MOST_UNDONE = 8
"""Videos that are not done; more are refused."""
MOST_DONE = 50
"""Videos that are kept."""
PRIORITY = -2
"""Of frames: pictures come first, but for frames that have waited for a minute."""
ABOUT = "job.json"
"""Name of the file that says what a video is."""


@dataclass(eq=False)
class Video:
    """A video.

    Attributes:
      body: what was asked for, with its seed.
      said: what it is, as OpenAI says it.
      drawn: frames.
    """

    folder: Path
    body: dict[str, Any]
    said: dict[str, Any]
    drawn: int = 0
    task: asyncio.Task[None] | None = field(default=None, repr=False)

    @property
    def over(self) -> bool:
        """Whether nothing more will become of it."""
        return self.said["status"] in (DONE, FAILED)

    def file(self, name: str = FILE) -> Path:
        """A file of its folder."""
        return self.folder / name

    def frame(self, number: int) -> Path:
        """The file of a frame."""
        return self.folder / f"{frame_id(number)}.png"

    def become(self, status: str, **said: Any) -> None:
        """Changes what it is, on disk too."""
        self.said |= {"status": status, **said}
        with replacing(self.file(ABOUT)) as part:
            part.write_text(json.dumps({"body": self.body, "said": self.said}), encoding="utf-8")


class Videos:
    """All videos of a server. Its methods are for the thread of the event loop."""

    def __init__(self, service: Service, folder: Path) -> None:
        """Reads what is in the folder, which is made when it is needed."""
        self.service, self.folder = service, folder
        self._turn = asyncio.Lock()
        files = folder.glob(f"*/{ABOUT}")
        found = [Video(file.parent, **json.loads(file.read_text("utf-8"))) for file in files]
        found.sort(key=lambda one: one.said["created_at"])
        self.there = {one.folder.name: one for one in found}

    def video(self, id: str) -> Video:
        """A video by its id.

        Raises:
          Refused: there is none.
        """
        if id not in self.there:
            raise no_such("video", id)
        return self.there[id]

    async def begin(self, body: dict[str, Any]) -> Video:
        """Begins a video, once all that can be checked is checked.

        Args:
          body: of the request, with a seed.

        Raises:
          Refused: saying why not.
        """
        if sum(not one.over for one in self.there.values()) >= MOST_UNDONE:
            raise busy(60)
        id = new_id()
        film = await self._film(body, self.folder / id)
        settings, config = film.plan.frames[0].settings, film.plan.config
        height, width = settings.final_size
        said = {
            "id": id,
            "object": "video",
            "created_at": int(time.time()),
            "model": film.model.name,
            "prompt": body["prompt"],
            "seconds": f"{len(film.plan.frames) / config.fps:g}",
            "size": f"{width}x{height}",
            "seed": settings.seed,
            "progress": 0,
            "error": None,
        }
        video = Video(private(private(self.folder) / id), body, said)
        video.become(QUEUED)
        self.there[id] = video
        self._start(video)
        return video

    def resume(self) -> None:
        """Goes on with what a server that ended has left."""
        for one in self.there.values():
            if not one.over:
                self._start(one)

    def delete(self, id: str) -> None:
        """Forgets a video, and ends it if it is not done.

        Raises:
          Refused: there is none.
        """
        video = self.video(id)
        del self.there[id]
        if video.task is not None:
            video.task.cancel()
        shutil.rmtree(video.folder, ignore_errors=True)

    async def close(self) -> None:
        """Ends what runs here; it goes on after the next start."""
        tasks = [one.task for one in self.there.values() if one.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _start(self, video: Video) -> None:
        video.task = asyncio.create_task(self._run(video))

    async def _run(self, video: Video) -> None:
        async with self._turn:
            try:
                await self._draw(video)
            except Refused as refused:
                if refused.code != "draining":  # else it goes on after the next start
                    video.become(FAILED, error=_error(refused.code, refused.message))
            except Exception as error:  # such as a full disk
                reason = str(error).partition("\n")[0] or type(error).__name__
                with suppress(OSError):
                    video.become(FAILED, error=_error("drawing_failed", reason))

    async def _film(self, body: dict[str, Any], folder: Path) -> Film:
        values = dict(body)
        model = self.service.model(values.pop("model", None))
        try:
            told = values, model, self.service.base, folder
            return await asyncio.to_thread(film_of, *told)
        except (ValueError, OSError) as error:
            raise Refused(400, str(error).partition("\n")[0]) from None

    async def _draw(self, video: Video) -> None:
        film = await self._film(video.body, video.folder)
        count = len(film.plan.frames)
        missing = [i for i in range(count) if not video.frame(i).exists()]
        video.drawn = count - len(missing)
        video.become(DRAWING)
        numbers = iter(missing)
        artist = await self.service.artist(film.model, 1)  # stays in memory meanwhile
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(2 * artist.places * self.service.engine.devices):
                    group.create_task(self._frames(video, film, numbers))
        except ExceptionGroup as several:
            raise several.exceptions[0] from None
        finally:
            self.service.shelf.give_back(film.model.name)
        places = [video.frame(i) for i in range(count)]
        await asyncio.to_thread(
            made, film.plan, places, film.model.recipe.model_hash, done=lambda _: None
        )
        video.become(DONE, progress=100, completed_at=int(time.time()))
        for place in places[1:]:  # the first one stays, to be shown
            place.unlink()
        done = [id for id, one in self.there.items() if one.over]
        for id in done[:-MOST_DONE]:
            self.delete(id)

    async def _frames(self, video: Video, film: Film, numbers: Iterator[int]) -> None:
        for number in numbers:
            wish = film.wish._replace(settings=film.plan.frames[number].settings)
            ask = Ask(film.model.name, [wish], admitted=True, priority=PRIORITY)
            job = await self.service.begin(ask)
            try:
                await self.service.finished(job, _never)
            except BaseException:
                self.service.cancel(job)
                raise
            with replacing(video.frame(number)) as part:
                part.write_bytes(job.files[0] or b"")
            video.drawn += 1
            video.said["progress"] = min(99, 100 * video.drawn // len(film.plan.frames))


async def _never() -> bool:
    """Nobody waits for a frame whose connection could end."""
    return False


def _error(code: str, message: str) -> dict[str, str]:
    return {"code": code, "message": message}
