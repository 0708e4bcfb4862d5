"""Run by test_devices.py in a process of two devices: each picture is the one of one device."""

import threading

import jax
import numpy as np
from tiny_pipelines import SMALLEST, pipeline

from jaxsd.canvases import Pictures
from jaxsd.server.artist import PipelineArtist
from jaxsd.server.engine import Engine
from jaxsd.server.picture import DONE, Picture
from jaxsd.settings import Settings, checked, rows_of

PIPE = pipeline(SMALLEST)


def drawn(devices, each):
    """The pictures, and how many calls each device had."""
    artist, engine = PipelineArtist(PIPE, 2, devices), Engine(devices=devices)
    engine.start()
    over = threading.Semaphore(0)
    pictures = [
        Picture(
            artist,
            artist.order(one, Pictures()),
            rows_of(one, PIPE.spec),
            lambda picture: picture.over and over.release(),
        )
        for one in each
    ]
    engine.submit(pictures)
    for _ in each:
        over.acquire()
    engine.drain()
    engine.join(5)
    assert all(one.state == DONE for one in pictures), [one.error for one in pictures]
    return [one.image for one in pictures], [one.calls for one in engine._devices]


assert jax.local_device_count() == 2
kinds = [{}, {"sampler": "euler_a"}, {"hires": 2.0}]
wanted = [
    Settings(prompt=f"{i} cats", width=16, height=16, steps=3 + i % 3, seed=i, **kinds[i % 3])
    for i in range(20)
]
wanted = [checked(one, PIPE.spec) for one in wanted]
alone, _ = drawn(1, wanted)
shared, calls = drawn(2, wanted)
assert all(map(np.array_equal, alone, shared))
assert min(calls) > 0
print(f"{len(wanted)} pictures are the same to the bit; calls of each device: {calls}")
