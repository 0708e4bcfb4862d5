"""Surveys all pictures: threads read and scale them while the devices work on earlier ones."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jaxsd.score.facts import Fact, Unreadable, fact_of, key_of
from jaxsd.score.findings import Findings
from jaxsd.score.pictures import Picture, read_picture, read_prompted

if TYPE_CHECKING:  # it imports jax, which plain facts do not need
    from jaxsd.score.networks import Network

Take = Callable[[list[Fact], np.ndarray], None]
"""Receives a network's results for some pictures, [B, ...]."""


class Look(NamedTuple):
    """What a thread made of one picture."""

    fact: Fact | Unreadable
    inputs: tuple[Any, ...]  # for each network; None if it does not apply


class Feed:
    """Runs a network on full batches, pads the last one, and passes its results on."""

    def __init__(self, network: "Network", batch: int, take: Take) -> None:
        self.network, self.batch, self.take = network, batch, take
        self._waiting: list[tuple[Fact, Any]] = []
        self._called: deque[tuple[list[Fact], Any]] = deque()

    def add(self, fact: Fact, value: Any) -> None:
        """Adds one input."""
        self._waiting.append((fact, value))
        if len(self._waiting) == self.batch:
            self._call()

    def end(self) -> None:
        """Runs what is left, and waits for all results."""
        if self._waiting:
            self._call()
        self._collect(0)

    def _call(self) -> None:
        facts, values = (list(column) for column in zip(*self._waiting, strict=True))
        self._waiting = []
        values += [values[-1]] * (self.batch - len(values))
        self._called.append((facts, self.network.run(values)))
        self._collect(1)  # one call stays ahead of the host

    def _collect(self, left: int) -> None:
        while len(self._called) > left:
            facts, said = self._called.popleft()
            self.take(facts, np.asarray(said)[: len(facts)])


def survey(
    pictures: Sequence[Picture],
    *,
    inception: "Network | None" = None,
    clip: "Network | None" = None,
    batch: int = 1,
    threads: int = 1,
    seen: Callable[[int], Any] = lambda count: None,
) -> Findings:
    """Collects facts about pictures, and runs the given networks on them.

    Args:
      batch: pictures in a call of a network, a multiple of the devices.
      threads: number of threads that read and scale.
      seen: called with the number of new pictures.
    """
    findings = Findings()

    def take_features(facts: list[Fact], features: np.ndarray) -> None:
        findings.sums.add(np.array([key_of(fact) for fact in facts], np.uint64), features)

    def take_cosines(facts: list[Fact], cosines: np.ndarray) -> None:
        names = [fact.name for fact in facts]
        findings.cosines.update(zip(names, map(float, cosines), strict=True))

    both = ((inception, take_features), (clip, take_cosines))
    feeds = [Feed(network, batch, take) for network, take in both if network is not None]
    with ThreadPoolExecutor(threads) as pool:
        for look in _looks(pool, pictures, feeds, ahead=batch + 2 * threads):
            findings.facts.append(look.fact)
            for feed, value in zip(feeds, look.inputs, strict=False):
                if value is not None:
                    feed.add(look.fact, value)
            seen(1)
    for feed in feeds:
        feed.end()
    return findings


def _looks(
    pool: ThreadPoolExecutor,
    pictures: Sequence[Picture],
    feeds: Sequence[Feed],
    ahead: int,
) -> Iterator[Look]:
    """Looks in order; threads are at most `ahead` pictures ahead of the caller."""
    begun: deque[Future[Look]] = deque()
    for picture in pictures:
        begun.append(pool.submit(_look, picture, feeds))
        if len(begun) > ahead:
            yield begun.popleft().result()
    while begun:
        yield begun.popleft().result()


def _look(picture: Picture, feeds: Sequence[Feed]) -> Look:
    try:
        if any(feed.network.takes_prompts for feed in feeds):
            image, prompt = read_prompted(picture)
        else:
            image, prompt = read_picture(picture), None
    except (OSError, ValueError) as error:
        return Look(Unreadable(picture.name, str(error)), ())
    inputs = tuple(feed.network.prepare(image, prompt) for feed in feeds)
    return Look(fact_of(picture.name, image), inputs)
