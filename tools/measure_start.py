"""When `jaxsd generate` begins its first step, and when it is over. Linux.

python tools/measure_start.py "a red apple" --model sd15.safetensors --steps 1 -o apple.png

Takes the arguments of `jaxsd generate`. Each line has the seconds since the process began, and
those of its processors, all threads together.
"""

import os
import sys
import threading
import time
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from jaxsd.executables import Executables, Static


def passed() -> float:
    """Seconds since this process began."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    return time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")


def tell(what: str) -> None:
    """Prints a line on stderr."""
    print(f"{passed():6.2f} s, processors {time.process_time():6.2f} s: {what}", file=sys.stderr)


def main() -> None:
    """Runs the command."""
    tell("jax and jaxsd are imported")
    prepared, begun = Executables.prepared, set()

    def told(self: Executables, function: Any, static: Static, **arrays: Any) -> Any:
        program = prepared(self, function, static, **arrays)
        name = function.__name__
        if threading.current_thread() is threading.main_thread() and name not in begun:
            begun.add(name)
            tell(f"{name} begins; its weights and its program are there")
        return program

    Executables.prepared = told
    (command,) = entry_points(group="console_scripts", name="jaxsd")
    sys.argv = ["jaxsd", "generate", *sys.argv[1:]]
    try:
        command.load()()
    finally:
        tell("the command is over")


if __name__ == "__main__":
    main()
