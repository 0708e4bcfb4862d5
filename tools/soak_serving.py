"""Serves many requests with a real model, and prints what it did to the process, as a table.

    python tools/soak_serving.py [--requests 2000] [--loads 20] [--rounds 2] [--model emoji]

A tenth of the requests is wrong, late or given up by its client; some name another model, for which
the first one must make room, and some a LoRA. Then 32 clients at once draw against `jaxsd bulk` at
the same batch, in turn. On two idle cores it takes some six minutes; `--requests 400
--rounds 0` is a fifth of it, with as many changes of models.
"""

import argparse
import base64
import contextlib
import json
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from prometheus_client.parser import text_string_to_metric_families

from jaxsd.settings.adapters import adapter_place

SAMPLERS = ("euler", "euler_a", "dpm++_2m", "ddim", "heun")
SMALL = {"size": "64x64", "n": 1}
BURST, BURST_STEPS = 32, 8
WAIT = 600.0
"""Seconds that a client waits."""
JAXSD = [sys.executable, "-W", "ignore", "-c", "from jaxsd.cli.main import run; run()"]
GENERATE = "/v1/images/generations"


@contextlib.contextmanager
def served(model: str, memory: float, slots: int, folder: Path) -> Iterator[tuple[int, str, int]]:
    """A server: its process, its address, and how many pictures share a call."""
    loras = folder / "loras"
    loras.mkdir()
    (loras / "neon.safetensors").symlink_to(adapter_place("emoji-neon"))
    flags = ["--model", f"a={model}", "--model", f"b={model}", "--memory", str(memory)]
    flags += ["--port", "0", "--data", str(folder / "data"), "--lora-folder", str(loras)]
    flags += ["--slots", str(slots)] if slots else []
    log = folder / "log"
    with log.open("w") as file:
        process = subprocess.Popen([*JAXSD, "serve", *flags], stderr=file)
    try:
        while not (found := re.search(r"listening on (\S+)", log.read_text())):
            if process.poll() is not None:
                raise SystemExit(log.read_text())
            time.sleep(0.2)
        places = re.search(r"--slots (\d+)", log.read_text())
        yield process.pid, found[1], int(places[1]) if places else 1
    finally:
        process.terminate()
        process.wait(60)


def requests(count: int, loads: int) -> Iterator[tuple[dict[str, Any], float]]:
    """Bodies, and the seconds that their clients wait; so many name another model."""
    draw, every = random.Random(0), count // max(1, loads)
    for i in range(count):
        body = SMALL | {"prompt": f"{i} red apples", "seed": i, "sampler": draw.choice(SAMPLERS)}
        body |= {"steps": draw.randint(1, 3), "guidance_scale": draw.choice((1, 5)), "model": "a"}
        patience = WAIT
        if i % 10 == 1:
            body, patience = draw.choice(
                (
                    (body | {"steps": 0}, WAIT),  # refused
                    (body | {"deadline": 0.001}, WAIT),  # late
                    (body | {"steps": 200}, 0.05),  # given up
                )
            )
        elif loads and i % every == every // 2:
            body["model"] = "b"
        elif i % 40 == 20:
            body["prompt"] += " <lora:neon:0.7>"
        yield body, patience


def soaked(
    url: str,
    pending: Iterator[tuple[dict[str, Any], float]],
    clients: int,
    look: Callable[[int], Any],
) -> Counter[int | str]:
    """Sends all requests; how many were answered in which way."""
    told: Counter[int | str] = Counter()
    lock, done = threading.Lock(), 0

    def work() -> None:
        nonlocal done
        with httpx.Client(base_url=url) as client:
            while True:
                with lock:
                    body, patience = next(pending, (None, 0.0))
                if body is None:
                    return
                try:
                    answer: int | str = client.post(GENERATE, json=body, timeout=patience)
                    answer = answer.status_code
                except httpx.TimeoutException:
                    answer = "given up"
                with lock:
                    told[answer] += 1
                    done += 1
                    look(done)

    with ThreadPoolExecutor(clients) as pool:
        for one in [pool.submit(work) for _ in range(clients)]:
            one.result()
    return told


class Pulse(threading.Thread):
    """Asks for /health twenty times in a second."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self.url, self.seconds, self.over = url, [], threading.Event()

    def run(self) -> None:
        """Until it is over."""
        with httpx.Client(base_url=self.url, timeout=WAIT) as client:
            while not self.over.wait(0.05):
                began = time.perf_counter()
                client.get("/health").raise_for_status()
                self.seconds.append(time.perf_counter() - began)

    def p99(self) -> float:
        """Milliseconds, of which one in a hundred takes longer; begins anew."""
        seconds, self.seconds = self.seconds, []
        return 1000 * float(np.percentile(seconds, 99))


def process(pid: int) -> dict[str, int]:
    """Bytes, threads and open files of a process."""
    said = Path(f"/proc/{pid}/status").read_text()
    found = {name: int(re.search(rf"{name}:\s+(\d+)", said)[1]) for name in ("VmRSS", "Threads")}
    return found | {"files": len(list(Path(f"/proc/{pid}/fd").iterdir()))}


def metrics(url: str) -> dict[str, float]:
    """Numbers of the server by their names."""
    families = text_string_to_metric_families(httpx.get(f"{url}/metrics", timeout=WAIT).text)
    samples = [sample for family in families for sample in family.samples]
    return {" ".join((one.name, *one.labels.values())): one.value for one in samples}


def burst(url: str) -> float:
    """Pictures a second of 32 clients at once."""

    def one(seed: int) -> bytes:
        body = {"prompt": "a red apple", "seed": seed, "steps": BURST_STEPS, "sampler": "dpm++_2m"}
        answer = client.post(GENERATE, json=body | {"model": "a"})
        return base64.b64decode(answer.raise_for_status().json()["data"][0]["b64_json"])

    # One client of httpx for all: each reads certificates, on the cores that are measured.
    with httpx.Client(base_url=url, timeout=WAIT) as client, ThreadPoolExecutor(BURST) as pool:
        began = time.perf_counter()
        pictures = set(pool.map(one, range(BURST)))
        seconds = time.perf_counter() - began
    assert len(pictures) == BURST
    return BURST / seconds


def bulk(model: str, size: int, folder: Path) -> float:
    """Pictures a second of `jaxsd bulk`, which leaves out reading and compiling."""
    config = folder.with_suffix(".toml")
    config.write_text(
        f'output = "{folder}"\nmodel = "{model}"\nprompt = "a red apple"\nsampler = "dpm++_2m"\n'
        f"steps = {BURST_STEPS}\nbatch_size = {size}\nimages_per_shard = {max(8, size)}\n"
        f"[axes]\nseed = {{ first = 0, count = {BURST} }}\n"
    )
    subprocess.run([*JAXSD, "bulk", str(config)], check=True, capture_output=True)
    said = json.loads((folder / "summary-host-0.json").read_text())
    return said["images"] / said["seconds"]


def main() -> None:
    """Prints a line for each figure."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--loads", type=int, default=20, help="requests for another model (20)")
    parser.add_argument("--rounds", type=int, default=2, help="of 32 clients against bulk (2)")
    parser.add_argument("--model", default="emoji")
    parser.add_argument("--memory", type=float, default=0.03, help="GB: room for one model (0.03)")
    parser.add_argument("--slots", type=int, default=0, help="of a call (measured)")
    args = parser.parse_args()

    def tell(name: str, figure: str, wanted: str, good: bool) -> None:
        print(f"{name:44} {figure:>22}  {wanted:22} {'good' if good else 'BAD'}", flush=True)

    with (
        tempfile.TemporaryDirectory() as place,
        served(args.model, args.memory, args.slots, Path(place)) as (pid, url, slots),
    ):
        looks: dict[int, dict[str, float]] = {}
        at = {args.requests * part // 20 for part in range(1, 21)}

        def look(done: int) -> None:
            if done not in at:
                return
            now = looks[done] = metrics(url) | process(pid)
            passed = time.perf_counter() - began
            print(
                f"{done} of {args.requests} requests in {passed:.0f} s, "
                f"{passed / done * (args.requests - done):.0f} s left: "
                f"{now['VmRSS'] / 2**10:.0f} MiB, {now['jaxsd_model_loads_total']:.0f} loads",
                flush=True,
            )

        pulse = Pulse(url)
        pulse.start()
        began = time.perf_counter()
        told = soaked(url, requests(args.requests, args.loads), args.clients, look)
        seconds = time.perf_counter() - began
        while (end := metrics(url))["jaxsd_pictures_waiting"] + end["jaxsd_pictures_drawing"]:
            time.sleep(0.1)
        first, half, last = (looks[args.requests * part // 20] for part in (5, 10, 20))
        p99 = pulse.p99()
        growth = last["VmRSS"] / first["VmRSS"] - 1
        ended = sum(value for name, value in end.items() if name.startswith("jaxsd_pictures_total"))
        taken = end["jaxsd_pictures_accepted_total"]
        late = sum(told[status] for status in (503, 504))
        said = ", ".join(f"{status}: {many}" for status, many in sorted(told.items(), key=str))
        again = last["jaxsd_compilations_total"] - half["jaxsd_compilations_total"]
        print(f"{args.requests} requests, {args.clients} clients, {slots} in a call: {said}")
        rate = told[200] / seconds
        tell("pictures a second", f"{rate:.1f}", "", True)
        tell("memory at the end, after a quarter", f"{growth:+.1%}", "<= 5%", growth <= 0.05)
        tell("its size", f"{last['VmRSS'] / 2**20:.2f} GiB", "", True)
        for name in ("Threads", "files"):
            more = last[name] - first[name]
            tell(
                f"{name.lower()}, the same",
                f"{more:+.0f}",
                f"<= {args.clients}",
                more <= args.clients,
            )
        tell("models loaded", f"{end['jaxsd_model_loads_total']:.0f}", "", True)
        tell("programs compiled", f"{last['jaxsd_compilations_total']:.0f}", "", True)
        tell("of them in the second half", f"{again:.0f}", "0", again == 0)
        tell("accepted, and ended", f"{taken:.0f} {ended:.0f}", "the same", taken == ended)
        bad = sum(
            many for status, many in told.items() if isinstance(status, int) and status >= 500
        )
        tell("answers of 5xx that are no deadline", f"{bad - late}", "0", bad == late)
        tell("/health, 99 of 100 within", f"{p99:.0f} ms", "< 100 ms", p99 < 100)
        if args.rounds:
            burst(url)  # compiles
        rates: list[tuple[float, float, float]] = []
        for number in range(args.rounds):
            pulse.p99()
            ours = burst(url)
            p99 = pulse.p99()
            theirs = bulk(args.model, slots, Path(place) / f"bulk{number}")
            rates.append((ours, theirs, p99))
            print(f"{BURST} clients: {ours:.2f} pictures/s, jaxsd bulk: {theirs:.2f}", flush=True)
        if rates:
            share = float(np.mean([ours / theirs for ours, theirs, _ in rates]))
            worst = max(p99 for *_, p99 in rates)
            tell("32 clients at once, of bulk's rate", f"{share:.2f}", ">= 0.9", share >= 0.9)
            tell("/health meanwhile, 99 of 100 within", f"{worst:.0f} ms", "< 100 ms", worst < 100)
        pulse.over.set()
        pulse.join()


if __name__ == "__main__":
    main()
