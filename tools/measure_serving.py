"""Serves pictures of mixed steps with a real model in three ways, and says how long they take.

    python tools/measure_serving.py [--slots 1] [--pictures 40] [--load 0.7] [--seed 0]

One at a time, static batches (all that wait, up to `--most`, begin together and end with the
longest) and continuous batches get the same arrivals at random times, in turn, in one process.
First of all `--pictures` are asked for at once: so the load is a share of what this machine can
do now. Where there is little time at once, run it for fewer pictures with several seeds.
"""

import argparse
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from simulate_serving import MOST, arrivals

from jaxsd.canvases import Pictures
from jaxsd.drawings import with_programs
from jaxsd.pipeline import Pipeline
from jaxsd.server.artist import PipelineArtist
from jaxsd.server.engine import Engine
from jaxsd.server.picture import DONE, Picture
from jaxsd.settings import Settings, checked, rows_of

Draw = Callable[[Sequence[Settings], Sequence[float]], list[float]]
"""(settings, times at which they are asked for) -> seconds from asking to having, of each."""


def continuous(
    artist: PipelineArtist, each: Sequence[Settings], at: Sequence[float]
) -> list[float]:
    """By the server's engine."""
    engine, done, over = Engine(most_waiting=len(each)), {}, threading.Event()
    engine.start()

    def tell(number: int, picture: Picture) -> None:
        if picture.over:
            assert picture.state == DONE, picture.error
            done[number] = time.monotonic()
            if len(done) == len(each):
                over.set()

    began = time.monotonic()
    for number, (one, when) in enumerate(zip(each, at, strict=True)):
        time.sleep(max(0.0, began + when - time.monotonic()))
        order, rows = artist.order(one, Pictures()), rows_of(one, artist.pipe.spec)
        engine.submit([Picture(artist, order, rows, partial(tell, number))])
    over.wait()
    engine.drain()
    engine.join(10)
    return [done[i] - began - when for i, when in enumerate(at)]


def static(pipe: Pipeline, most: int, each: Sequence[Settings], at: Sequence[float]) -> list[float]:
    """In calls of as many as wait, up to `most`, of sizes that programs are compiled for."""
    began, done, first = time.monotonic(), [], 0
    while first < len(each):
        now = time.monotonic() - began
        time.sleep(max(0.0, at[first] - now))
        waiting = sum(when <= time.monotonic() - began for when in at[first:])
        count = 1 << min(most, max(1, waiting)).bit_length() - 1
        order = pipe.order(list(each[first : first + count]), batch=count)
        pipe.drawn(order, progress=lambda *_: None)
        done += [time.monotonic() - began] * count
        first += count
    return [end - when for end, when in zip(done, at, strict=True)]


def main() -> None:
    """Prints a line for each way."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="emoji")
    parser.add_argument("--slots", type=int, default=1)
    parser.add_argument("--pictures", type=int, default=40)
    parser.add_argument("--most", type=int, default=MOST, help="of a static batch (8)")
    parser.add_argument("--load", type=float, default=0.7)
    parser.add_argument("--seed", type=int, default=0, help="of the arrivals (0)")
    args = parser.parse_args()
    pipe = with_programs(args.model, print)
    artist = PipelineArtist(pipe, args.slots)
    asked = arrivals(1.0, args.pictures, args.seed)
    each = [
        checked(
            Settings(prompt="a red apple", seed=i, steps=one.steps, sampler="euler_a"), pipe.spec
        )
        for i, one in enumerate(asked)
    ]
    ways: dict[str, Draw] = {
        "one at a time": partial(static, pipe, 1),
        "static batches": partial(static, pipe, args.most),
        "continuous": partial(continuous, artist),
    }
    for size in (1, 2, 4, 8):  # so that nothing is compiled while it is timed
        if size <= args.most:
            static(pipe, size, each[:size], [0.0] * size)
    continuous(artist, each[:1], [0.0])
    rates = {}
    for name, way in ways.items():
        began = time.monotonic()
        way(each, [0.0] * len(each))
        rates[name] = len(each) / (time.monotonic() - began)
        print(f"{name:15} all at once: {rates[name]:.3f} pictures/s", flush=True)
    at = np.array([one.time for one in asked]) / (args.load * max(rates.values()))
    for name, way in ways.items():
        half, most = np.percentile(way(each, at.tolist()), [50, 95])
        print(f"{name:15} load {args.load}: {half:.2f} s at 50%, {most:.2f} s at 95%", flush=True)


if __name__ == "__main__":
    main()
