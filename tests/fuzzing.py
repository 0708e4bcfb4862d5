"""Wrong files by chance, for tests that read them: how many, of what, and what must hold.

`JAXSD_FUZZ=20000` tries that many of each kind instead of the few of a normal run.
"""

import json
import os
import resource
import time
import warnings

import pytest

CASES = int(os.environ.get("JAXSD_FUZZ", "150"))
SECONDS = 2
MEGABYTES = 600
"""A picture of as many pixels as are read takes 500."""
DEEP = "@deep@"
"""Stands for a text that JSON cannot hold in other ways: lists within lists."""
NUMBERS = (-1, 0, 1, 2, 3, 7, 64, 2**31, 2**40, 2**63, 2**64, 2**70, 10**399)
HOSTILE = (
    *NUMBERS,
    *(None, True, False, 1.5, -0.0, 1e300, float("inf"), float("nan")),
    *("", "x", "2", "F32", "F8_E8M0", "\x1b[2J", "a" * 100_000, "/", "..", DEEP),
    *([], {}, [[]], {"x": 1}, [0, 2**70], ["x"], [1] * 100_000, [2**40] * 70, [None, 3]),
)

parts = pytest.mark.parametrize("part", range(4))
"""Each kind in four tests, so that a failure says more and workers can share them."""


def seeds(part, share=1):
    """The cases of a part, of every `share`-th of all; when they are done, they took no memory."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield from range(part, CASES // share, 4)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown < MEGABYTES


def attempt(read, seed):
    """Runs `read`, which may refuse what it gets, but in no other way than ours."""
    start = time.process_time()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            read()
    except (ValueError, OSError) as error:
        message = str(error)
        assert message.isprintable(), (seed, message[:300])
        assert len(message) < 5000, seed
    assert time.process_time() - start < SECONDS, seed


def mutated(rng, value):
    """A JSON value with one of its inner values changed, removed or repeated."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = rng.choice(list(value))
        match rng.randrange(12):
            case 0:
                return {k: v for k, v in value.items() if k != key}
            case 1:
                return value | {rng.choice(["", "x", "a" * 10_000, key + ".x"]): value[key]}
        return value | {key: mutated(rng, value[key])}
    if isinstance(value, list) and value and rng.random() < 0.7:
        place = rng.randrange(len(value))
        return [*value[:place], mutated(rng, value[place]), *value[place + rng.randrange(2) :]]
    return rng.choice(HOSTILE)


def as_json(rng, value):
    deep = rng.choice(["[", '{"a":']) * 50_000
    packed = json.dumps(value).replace(f'"{DEEP}"', deep).encode()
    return scrambled(rng, packed) if rng.random() < 0.3 else packed


def scrambled(rng, packed):
    """Bytes of which some are changed, cut out, repeated, or end too soon."""
    packed = bytearray(packed)
    for _ in range(rng.choice((1, 1, 2, 8))):
        place = rng.randrange(len(packed) + 1)
        length = rng.choice((1, 1, 2, 8, 100))
        match rng.randrange(4):
            case 0:
                packed[place : place + length] = rng.randbytes(length)
            case 1:
                del packed[place : place + length]
            case 2:
                packed[place:place] = packed[place : place + length] * rng.choice((1, 3))
            case 3:
                packed[place : place + 1] = bytes([rng.choice(b'"{}[],:.0129-e\xff\0')])
    return bytes(packed[: rng.randrange(len(packed) + 1)] if rng.random() < 0.1 else packed)
