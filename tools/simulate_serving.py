"""Compares ways to serve pictures of mixed steps: one at a time, static batches, continuous ones.

    python tools/simulate_serving.py [--seconds 20000]

prints, for calls whose cost grows with their pictures ("linear") and for calls that cost the same
("flat"), how long pictures take at several loads, and how many are drawn at most. A load of 1 is
what continuous batching draws at most. Nothing is drawn: costs are numbers.
"""

import argparse
import heapq
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from jaxsd.server.places import SIZES, places_by

STEPS = (8, 50)
LOADS = (0.3, 0.5, 0.7, 0.9)
MOST = SIZES[-1]

Cost = Callable[[int], float]
CURVES: dict[str, Cost] = {
    "linear": lambda size: 0.02 + 0.1 * size,
    "flat": lambda size: 0.1 + 0.002 * size,
}
"""Seconds of a call of so many pictures: of a processor, and of an accelerator."""


class Asked(NamedTuple):
    """A picture: when it was asked for, and its calls."""

    time: float
    steps: int


Policy = Callable[[Sequence[Asked], Cost], list[float]]
"""(pictures in the order of time, cost) -> when each was done."""


def alone(pictures: Sequence[Asked], cost: Cost) -> list[float]:
    """One picture after the other."""
    now, done = 0.0, []
    for one in pictures:
        now = max(now, one.time) + one.steps * cost(1)
        done.append(now)
    return done


def static(pictures: Sequence[Asked], cost: Cost) -> list[float]:
    """All that wait, up to `MOST`, begin together, and end with the longest."""
    now, done, first = 0.0, [], 0
    while first < len(pictures):
        now = max(now, pictures[first].time)
        batch = [one for one in pictures[first : first + MOST] if one.time <= now]
        now += max(one.steps for one in batch) * cost(len(batch))
        done += [now] * len(batch)
        first += len(batch)
    return done


def continuous(pictures: Sequence[Asked], cost: Cost) -> list[float]:
    """Each joins when a place is free and leaves when it is done, as in `jaxsd.server.engine`."""
    places = places_by(cost)
    now, done, there = 0.0, [0.0] * len(pictures), []
    waiting = deque(enumerate(pictures))
    calls = 0
    while waiting or there:
        if not there:
            now = max(now, waiting[0][1].time)
        while waiting and waiting[0][1].time <= now and len(there) < places:
            number, one = waiting.popleft()
            heapq.heappush(there, (calls + one.steps, number))
        calls, now = calls + 1, now + cost(places)
        while there and there[0][0] == calls:
            done[heapq.heappop(there)[1]] = now
    return done


POLICIES: dict[str, Policy] = {
    "one at a time": alone,
    "static batches": static,
    "continuous": continuous,
}


def arrivals(rate: float, seconds: float, seed: int = 0) -> list[Asked]:
    """Pictures that are asked for at random times, `rate` a second."""
    chance = np.random.default_rng(seed)
    times = np.cumsum(chance.exponential(1 / rate, int(rate * seconds)))
    steps = chance.integers(STEPS[0], STEPS[1] + 1, len(times))
    return [Asked(float(at), int(count)) for at, count in zip(times, steps, strict=True)]


def waited(policy: Policy, pictures: Sequence[Asked], cost: Cost) -> np.ndarray:
    """Seconds from asking to having, of each."""
    return np.array(policy(pictures, cost)) - [one.time for one in pictures]


def most(policy: Policy, cost: Cost, count: int = 2000) -> float:
    """Pictures a second, where there are always some that wait."""
    pictures = [one._replace(time=0.0) for one in arrivals(1.0, count)]
    return count / max(policy(pictures, cost))


def main() -> None:
    """Prints a table for each curve."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=20_000, help="of each simulation")
    args = parser.parse_args()
    for name, cost in CURVES.items():
        capacity = most(continuous, cost)
        print(f"\n{name}: {places_by(cost)} places; seconds at 50%, 95% of the pictures")
        print(f"{'':16}" + "".join(f"load {load:<11}" for load in LOADS) + "pictures/s at most")
        for title, policy in POLICIES.items():
            cells = []
            for load in LOADS:
                found = waited(policy, arrivals(load * capacity, args.seconds), cost)
                half, most_of = np.percentile(found, [50, 95])
                cells.append(f"{half:.1f}, {most_of:.1f}")
            print(f"{title:16}" + "".join(f"{cell:16}" for cell in cells), end="")
            print(f"{most(policy, cost):.3f}")


if __name__ == "__main__":
    main()
