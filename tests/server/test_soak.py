"""Two thousand requests, of which each tenth fails, and what is left of them in the process."""

import itertools
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

COUNT, CLIENTS = 2000, 8
JOB = {"size": "64x64", "steps": 2, "sampler": "euler"}


class Forgetful(list):
    """What the fake would remember of each request."""

    def append(self, one):
        pass


def left():
    """Bytes, threads and files of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (rss,) = (int(line.split()[1]) for line in lines if line.startswith("VmRSS"))
    return rss, threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.release
def test_nothing_is_left_of_two_thousand_requests(server):
    pytest.importorskip("prometheus_client")
    service = server.service
    service.shelf.budget, server.artist.size = 10, 8
    for name in ("ticks", "joined", "asked"):
        setattr(server.artist, name, Forgetful())
    tiny = service.models["tiny"]
    service.models |= {name: replace(tiny, name=name, size=8) for name in ("tiny", "other")}
    numbers, told = itertools.count(), {}

    def work(end):
        # Certificates that nobody needs would be megabytes of each client.
        with httpx.Client(base_url=server.url, timeout=60, verify=False) as client:
            while (i := next(numbers)) < end:
                body = JOB | {"prompt": f"{i} cats", "seed": i, "model": "tiny"}
                if i % 10 == 1:
                    body |= ({"prompt": "nan"}, {"deadline": 1e-4}, {"steps": 0})[i // 10 % 3]
                elif i % 100 == 50:
                    body["model"] = "other"
                if i % 10 == 5:  # a job that is cancelled at once
                    id = client.post("/jaxsd/v1/jobs", json=body).json()["id"]
                    told[i] = client.post(f"/jaxsd/v1/jobs/{id}/cancel").status_code
                else:
                    told[i] = client.post("/v1/images/generations", json=body).status_code

    def soak(end):
        with ThreadPoolExecutor(CLIENTS) as pool:
            for one in [pool.submit(work, end) for _ in range(CLIENTS)]:
                one.result()
        late = time.monotonic() + 10
        while service.engine.waiting or service.engine.drawing or service.jobs:
            assert time.monotonic() < late, service.jobs
            time.sleep(0.01)

    soak(COUNT // 4)
    numbers = itertools.count(COUNT // 4)
    rss, threads, files = left()
    soak(COUNT)
    later = left()
    print(f"\n{rss / 1024:.0f} MiB, then {later[0] / 1024:.0f}; {service.shelf.loads} loads")
    assert set(told.values()) <= {200, 400, 409, 500, 503, 504}
    assert len(told) == COUNT
    assert sum(status == 200 for status in told.values()) > 0.85 * COUNT
    assert later[0] <= 1.05 * rss
    assert later[1] <= threads + 1
    assert later[2] <= files + CLIENTS
    counts = dict(service.counts)
    assert counts.pop("accepted") == sum(counts.values())
    assert sum(service.shelf._uses.values()) == 0
    assert service.shelf.loads > COUNT // 100
