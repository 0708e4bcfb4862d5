"""Pictures that wait for a device, in the order in which it is their turn."""

import time
from collections.abc import Callable, Iterator, Sequence
from threading import Condition

from jaxsd.server.picture import Picture

HEAD_START = 30.0
"""Seconds by which a picture of one more priority seems to have come earlier. Nobody starves: what
has waited for longer than all head starts comes before everything that arrives later.
"""


class Line:
    """Those that wait. Any thread may call it.

    Attributes:
      changed: is told of all that comes and of the end; hold it to look and take in one step.
      closed: whether nothing more comes, and what has not begun stays.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.changed, self.closed = Condition(), False
        self._clock, self._arrived = clock, 0
        self._waiting: list[Picture] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[Picture]:
        return iter(list(self._waiting))

    def add(self, pictures: Sequence[Picture], seconds: Callable[[Picture], float]) -> None:
        """Puts the pictures of a job into the line.

        Each comes as if it was asked for when the one before is drawn: so a job of many pictures
        lets those of others pass.

        Args:
          pictures: of one job.
          seconds: about what a picture takes.
        """
        with self.changed:
            due = self._clock()
            for picture in pictures:
                self._arrived += 1
                picture.number = self._arrived
                picture.due = due - HEAD_START * picture.priority
                due += seconds(picture)
            self.put(*pictures)

    def put(self, *pictures: Picture) -> None:
        """Puts pictures where their turn is, such as one that begins its second pass."""
        with self.changed:
            self._waiting += pictures
            self._waiting.sort(key=lambda one: (one.due, one.number))
            self.changed.notify_all()

    def next(self) -> list[Picture]:
        """Those that may begin, in order: second passes alone, once the line is closed."""
        return [one for one in self._waiting if one.before or not self.closed]

    def take(self, picture: Picture) -> None:
        """Takes one out."""
        with self.changed:
            self._waiting.remove(picture)

    def take_ended(self) -> list[Picture]:
        """Takes out what nobody wants, and what is late."""
        with self.changed:
            out = [one for one in self._waiting if one.unwanted or one.late]
            self._waiting = [one for one in self._waiting if one not in out]
        return out

    def position(self, picture: Picture) -> int | None:
        """How many come before one that waits."""
        waiting = list(self._waiting)
        return waiting.index(picture) if picture in waiting else None

    def wake(self) -> None:
        """Has the devices look again."""
        with self.changed:
            self.changed.notify_all()

    def close(self) -> None:
        """Takes nothing more."""
        with self.changed:
            self.closed = True
            self.changed.notify_all()
