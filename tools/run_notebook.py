"""Runs the code cells of a notebook in one process, in a folder of their own; needs no Jupyter.

    python tools/run_notebook.py docs/tpu.ipynb

Lines that begin with `%` are left out, `!COMMAND` is run. What a cell shows of IPython is left out.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from absl import app


def cells_of(notebook: Path) -> Iterator[str]:
    """The source of each code cell."""
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            yield "".join(cell["source"])


def as_script(cell: str) -> str:
    """A cell as plain Python."""
    if "IPython" in cell:
        return ""
    lines = [line for line in cell.splitlines() if not line.startswith("%")]
    return "\n".join(
        f"run_command({line[1:]!r})" if line.startswith("!") else line for line in lines
    )


def run_command(command: str) -> None:
    """A line of a shell, where programs of this Python's environment are found first."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    subprocess.run(command, shell=True, check=True, env=os.environ | {"PATH": path})


def main(argv: Sequence[str]) -> None:
    """Runs the cells, and says how long each took."""
    scripts = [as_script(cell) for cell in cells_of(Path(argv[1]).absolute())]
    names: dict[str, object] = {"run_command": run_command}
    with TemporaryDirectory() as folder:
        os.chdir(folder)
        for number, script in enumerate(filter(None, scripts), 1):
            started = time.perf_counter()
            exec(compile(script, f"cell {number}", "exec"), names)
            print(f"cell {number}: {time.perf_counter() - started:.1f} s", flush=True)
        os.chdir("/")


if __name__ == "__main__":
    app.run(main)
