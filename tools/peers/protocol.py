"""The worker's side of the protocol of `jaxsd bench`; uses only the standard library.

See `jaxsd.benchmark.worker` for the messages.
"""

import json
import os
import resource
import sys
import time
from collections.abc import Callable

Prepare = Callable[[dict], tuple[Callable[[], None], str]]
"""A job -> a function that runs it once and waits for it, and the versions of its packages."""


def serve(prepare: Prepare, peak: Callable[[], int | None] = lambda: None) -> None:
    """Answers line by line, until a message says `finish`.

    Args:
      prepare: raises ImportError or NotImplementedError, with a reason, for what it can not run.
      peak: most bytes used on the device; None if unknown.
    """
    # What libraries print must not come between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        message = json.loads(line)
        started = time.perf_counter()
        if "job" in message:
            try:
                run, versions = prepare(message["job"])
                run()
                answer = {"compile": time.perf_counter() - started, "versions": versions}
            except (ImportError, NotImplementedError) as error:
                answer = {"left_out": str(error)}
        elif "run" in message:
            run()
            answer = {"seconds": time.perf_counter() - started}
        else:
            own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            answer = {"peak": peak() or own}
        print(json.dumps(answer), file=answers, flush=True)
        if "finish" in message:
            return
