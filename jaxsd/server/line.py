"""Pictures that wait for a device, in the order in which it is their turn."""

import math
import time
from bisect import bisect_left, insort
from collections.abc import Callable, Hashable, Iterator, Sequence
from threading import Condition

from jaxsd.server.picture import Picture

HEAD_START = 30.0
"""Seconds by which a picture of one more priority seems to have come earlier. Nobody starves: what
has waited for longer than all head starts comes before everything that arrives later.
"""


def _turn(picture: Picture) -> tuple[float, int]:
    return picture.due, picture.number


class Line:
    """Those that wait. Any thread may call it.

    Pictures of a kind, which can share a batch, wait behind each other; so to look who is next
    costs as much as there are kinds, however many wait.

    Attributes:
      changed: is told of all that comes and of the end; hold it to look and take in one step.
      closed: whether nothing more comes, and what has not begun stays.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.changed, self.closed = Condition(), False
        self._clock, self._arrived = clock, 0
        self._kinds: dict[Hashable, list[Picture]] = {}  # by `key`, each in order
        self._look, self._soonest = False, math.inf  # for unwanted ones; the first deadline

    def __len__(self) -> int:
        return sum(map(len, list(self._kinds.values())))

    def __iter__(self) -> Iterator[Picture]:
        return iter(sorted((one for own in list(self._kinds.values()) for one in own), key=_turn))

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
            for one in pictures:
                insort(self._kinds.setdefault(one.key, []), one, key=_turn)
                self._look |= one.unwanted
                if one.deadline is not None:
                    self._soonest = min(self._soonest, one.deadline)
            self.changed.notify_all()

    def next(self) -> list[Picture]:
        """Those that may begin, in order: of each kind the first one, whose place is that of all.

        Once the line is closed, second passes alone.
        """
        if self.closed:
            return [one for one in self if one.before]
        return sorted((own[0] for own in list(self._kinds.values())), key=_turn)

    def take(self, picture: Picture) -> None:
        """Takes one out."""
        with self.changed:
            own = self._kinds[picture.key]
            own.remove(picture)
            if not own:
                del self._kinds[picture.key]

    def take_ended(self) -> list[Picture]:
        """Takes out what nobody wants, and what is late."""
        with self.changed:
            if not self._look and time.monotonic() <= self._soonest:
                return []
            out = [one for one in self if one.unwanted or one.late]
            ended = set(map(id, out))
            left = (
                (key, [one for one in own if id(one) not in ended])
                for key, own in self._kinds.items()
            )
            self._kinds, self._look = {key: own for key, own in left if own}, False
            deadlines = (one.deadline for one in self if one.deadline is not None)
            self._soonest = min(deadlines, default=math.inf)
        return out

    def position(self, picture: Picture) -> int | None:
        """How many come before one that waits."""
        with self.changed:
            if picture not in self._kinds.get(picture.key, ()):
                return None
            of_kinds = self._kinds.values()
            return sum(bisect_left(own, _turn(picture), key=_turn) for own in of_kinds)

    def wake(self) -> None:
        """Has the devices look for what nobody wants."""
        with self.changed:
            self._look = True
            self.changed.notify_all()

    def close(self) -> None:
        """Takes nothing more."""
        with self.changed:
            self.closed = True
            self.changed.notify_all()
