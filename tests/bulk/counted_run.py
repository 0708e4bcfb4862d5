"""`jaxsd bulk` that notes each unit once it is drawn, in a file given first; else as it is.

A call takes 0.3 s at least, which is longer than keeping one does, as with any model of use.
"""

import os
import sys
import time
from collections.abc import Callable
from typing import Any

from jaxsd.bulk import run as bulk_run
from jaxsd.cli.main import run


def counted(drawn: Callable[..., Any], log: int) -> Callable[..., Any]:
    def call(artist: Any, units: Any, ready: Any, drawing: Any) -> Any:
        rows = drawn(artist, units, ready, drawing)
        time.sleep(0.3)
        os.write(log, "".join(f"{unit.number}\n" for unit in units).encode())
        return rows

    return call


if __name__ == "__main__":
    log = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    bulk_run.drawn = counted(bulk_run.drawn, log)
    run(["bulk", *sys.argv[2:]])
