"""Runs workers side by side: each in its own process, in turn."""

import json
import shlex
import statistics
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Thread
from typing import Any

from jaxsd.benchmark.jobs import OURS, Job
from jaxsd.terminal import printable
from jaxsd.text_files import table_of
from jaxsd.typed import value_of

COMMAND = f"{shlex.quote(sys.executable)} -m jaxsd.benchmark.worker"

SHOWN = 200
"""Characters of an answer that is not one."""


@dataclass
class Result:
    """Time and memory of a worker for a job.

    Attributes:
      seconds: of every run after the warm-up, in the order of the rounds.
      compile: seconds until the job could run.
      peak: most bytes used by the process, weights and compiler included, or by the device.
      about: versions, device, and from jaxsd's own worker `flops` and `rate`.
      left_out: why there are no results; empty if there are.
    """

    worker: str
    job: Job
    seconds: list[float] = field(default_factory=list)
    compile: float = 0.0
    peak: int = 0
    about: dict[str, Any] = field(default_factory=dict)
    left_out: str = ""

    @property
    def median(self) -> float:
        """Seconds of the median run."""
        return statistics.median(self.seconds)


class Worker:
    """A process that answers lines of JSON; see `jaxsd.benchmark.worker`."""

    def __init__(self, command: str) -> None:
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            shlex.split(command), stdin=pipe, stdout=pipe, stderr=pipe, text=True, errors="replace"
        )
        # Read all the time, because a full pipe would stop the worker.
        self.said: deque[str] = deque(maxlen=20)
        self.reader = Thread(target=self.said.extend, args=[self.process.stderr], daemon=True)
        self.reader.start()

    def ask(self, wanted: str, **message: Any) -> dict[str, Any]:
        """The answer to a message, with a number of the name `wanted`.

        Or `left_out`, which says why there is none: the last line of stderr if the process ended.
        """
        try:
            self.process.stdin.write(json.dumps(message) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return self._last_words()
        line = self.process.stdout.readline()
        if not line:
            return self._last_words()
        try:
            line = line.strip()
            answer = table_of(line, "its answer")
            if "left_out" not in answer:
                value_of(float, answer.get(wanted), wanted)
        except ValueError as error:
            return {"left_out": printable(f"{error}: {line}", SHOWN)}
        return answer

    def _last_words(self) -> dict[str, str]:
        status = self.process.wait()
        self.reader.join()
        lines = [line.strip() for line in self.said if line.strip()]
        return {"left_out": printable(lines[-1]) if lines else f"it ended with status {status}"}

    def close(self) -> None:
        """Ends the process."""
        self.process.kill()
        self.process.wait()
        self.reader.join()


def contest(
    job: Job, workers: Mapping[str, str], rounds: int, say: Callable[[str], None]
) -> list[Result]:
    """Times a job with every worker.

    First, all are prepared and warmed up twice. Then each runs once per round, so that changes in
    the machine's speed affect all of them.

    Args:
      job: what to time.
      workers: name -> command of a program with the protocol of `jaxsd.benchmark.worker`.
      rounds: timed runs of each.
      say: told what happens.
    """
    results = [Result(name, job) for name in workers]
    running: list[tuple[Result, Worker]] = []
    try:
        for result in results:
            try:
                worker = Worker(workers[result.worker])
            except OSError as error:
                _leave_out(result, str(error), say)
                continue
            running.append((result, worker))
            _prepare(worker, result, say)
        for turn in range(rounds):
            going = [(result, worker) for result, worker in running if not result.left_out]
            for result, worker in going if turn % 2 == 0 else going[::-1]:
                answer = worker.ask("seconds", run=True)
                if "left_out" in answer:
                    _leave_out(result, answer["left_out"], say)
                else:
                    result.seconds.append(answer["seconds"])
        for result, worker in running:
            if not result.left_out:
                answer = worker.ask("peak", finish=True)
                if "left_out" in answer:
                    _leave_out(result, answer["left_out"], say)
                    continue
                result.peak = answer["peak"]
                say(f"{result.worker}: {result.median:.3g} s")
    finally:
        for _, worker in running:
            worker.close()
    return results


def _prepare(worker: Worker, result: Result, say: Callable[[str], None]) -> None:
    answer = worker.ask("compile", job=result.job.message())
    for _ in range(2):
        if "left_out" not in answer:
            warm = worker.ask("seconds", run=True)
            answer |= {"left_out": warm["left_out"]} if "left_out" in warm else {}
    if "left_out" in answer:
        _leave_out(result, answer["left_out"], say)
        return
    result.compile = answer.pop("compile")
    result.about = answer


def _leave_out(result: Result, why: str, say: Callable[[str], None]) -> None:
    result.left_out = why
    say(f"{result.worker} is left out: {why}")


def ours(results: Sequence[Result]) -> Result | None:
    """The result of jaxsd, if it has one."""
    return next((r for r in results if r.worker == OURS and not r.left_out), None)
